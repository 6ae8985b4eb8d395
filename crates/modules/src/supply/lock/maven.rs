//! `pom.xml` and `gradle.lockfile`.
//!
//! Maven has no lock file. What `pom.xml` names with a version is looked at; what it inherits or pulls in is a gap.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::{Lock, numbered};
use crate::supply::ecosystem::Ecosystem;

/// Properties may refer to properties; more levels than this are a circle.
const MAX_DEPTH: usize = 8;

pub(super) fn pom(text: &str) -> Result<Lock, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let project = document.root_element();
    if project.tag_name().name() != "project" {
        return Err("its root is not `project`".to_owned());
    }
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    let parent = child(project, "parent");
    for key in ["groupId", "artifactId", "version"] {
        let own = value(project, key).or_else(|| parent.and_then(|parent| value(parent, key)));
        if let Some(own) = own {
            properties.insert(format!("project.{key}"), own);
        }
    }
    for property in child(project, "properties")
        .into_iter()
        .flat_map(|node| node.children())
    {
        if let Some(text) = property.text() {
            properties.insert(property.tag_name().name().to_owned(), text.trim().to_owned());
        }
    }
    let managed = child(project, "dependencyManagement").and_then(|node| child(node, "dependencies"));
    let managed: BTreeMap<String, String> = managed
        .into_iter()
        .flat_map(|node| node.children())
        .filter_map(|node| Some((coordinate(node, &properties)?, value(node, "version")?)))
        .collect();
    let mut lock = Lock::default();
    for node in child(project, "dependencies")
        .into_iter()
        .flat_map(|node| node.children())
    {
        let Some(name) = coordinate(node, &properties) else {
            continue;
        };
        let version = value(node, "version").or_else(|| managed.get(&name).cloned());
        let version = version.map(|text| filled(&text, &properties));
        let line = document.text_pos_at(node.range().start).row;
        match version {
            Some(version) if !version.contains("${") && !version.starts_with(['[', '(']) => {
                lock.add(Ecosystem::Maven, &name, &version, line);
            }
            _ => lock
                .gaps
                .push(format!("line {line}: the version of `{name}` is decided elsewhere")),
        }
    }
    if !lock.packages.is_empty() {
        lock.gaps
            .push("Maven has no lock file: what these dependencies depend on is not known here".to_owned());
    }
    Ok(lock)
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn value(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn coordinate(node: Node<'_, '_>, properties: &BTreeMap<String, String>) -> Option<String> {
    let (group, artifact) = (value(node, "groupId")?, value(node, "artifactId")?);
    Some(format!(
        "{}:{}",
        filled(&group, properties),
        filled(&artifact, properties)
    ))
}

/// The text with its properties filled in, as far as they are known.
fn filled(text: &str, properties: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_DEPTH {
        let Some(start) = text.find("${") else { break };
        let Some(length) = text[start..].find('}') else { break };
        let name = &text[start + 2..start + length];
        let Some(value) = properties.get(name) else { break };
        text = format!("{}{value}{}", &text[..start], &text[start + length + 1..]);
    }
    text
}

/// Lines such as `org.example:name:1.0=compileClasspath,runtimeClasspath`.
pub(super) fn gradle(text: &str) -> Result<Lock, String> {
    let mut lock = Lock::default();
    for (number, line) in numbered(text) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        let coordinates = line.split('=').next().unwrap_or(line);
        match coordinates.rsplit_once(':') {
            Some((name, version)) if name.contains(':') => lock.add(Ecosystem::Maven, name, version, number),
            _ => return Err(format!("line {number}: expected group:name:version")),
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_properties_and_management_and_what_is_inherited_is_a_gap() {
        let lock = pom(concat!(
            "<project xmlns='http://maven.apache.org/POM/4.0.0'><properties><log>2.14.1</log></properties>\n",
            "<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>m</artifactId>",
            "<version>1.0</version></dependency></dependencies></dependencyManagement>\n<dependencies>\n",
            "<dependency><groupId>org.l</groupId><artifactId>core</artifactId><version>${log}</version></dependency>\n",
            "<dependency><groupId>g</groupId><artifactId>m</artifactId></dependency>\n",
            "<dependency><groupId>g</groupId><artifactId>inherited</artifactId></dependency>\n",
            "</dependencies></project>"
        ))
        .unwrap();
        let seen: Vec<_> = lock
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.line))
            .collect();
        assert_eq!(seen, [("org.l:core", "2.14.1", 4), ("g:m", "1.0", 5)]);
        assert_eq!(lock.gaps.len(), 2, "{:?}", lock.gaps);
        assert!(pom("<html/>").is_err());
    }

    #[test]
    fn gradle_locks_are_read() {
        let lock = gradle("# gradle\norg.a:b:1.0=compileClasspath\nempty=\n").unwrap();
        assert_eq!((lock.packages[0].name.as_str(), lock.packages[0].line), ("org.a:b", 2));
    }
}
