//! The assignments of a file, by function and name: what [`super::flow`] follows names through.

use std::collections::HashMap;
use std::ops::Range;

use super::flow::{Node, callee_name, receiver_of};
use super::roles::{self, Role};
use super::text::squeeze;

/// One assignment to one name.
pub(super) struct Assign<'t> {
    /// What is assigned.
    pub(super) value: Assigned<'t>,
    /// Start of the assignment.
    pub(super) start: usize,
    /// End of the assignment: it holds for code from here on.
    pub(super) end: usize,
    /// The statement list it stands in.
    pub(super) block: Range<usize>,
    /// Whether the old value stays part of the new one (`+=`).
    pub(super) adds: bool,
}

impl Assign<'_> {
    /// Whether the position lies inside this very assignment.
    pub(super) fn range_contains(&self, position: &Range<usize>) -> bool {
        self.start <= position.start && position.end <= self.end
    }
}

/// The right side of an assignment.
pub(super) enum Assigned<'t> {
    /// An expression.
    Expression(Node<'t>),
    /// A text made from these, as by `sprintf`.
    Glue(Vec<Node<'t>>),
    /// Data from outside, as by `fgets`.
    Outside(Range<usize>),
}

struct Scope<'t> {
    parent: Option<usize>,
    range: Range<usize>,
    parameters: Vec<(String, Node<'t>)>,
}

/// All assignments of a file.
pub(super) struct Index<'t> {
    scopes: Vec<Scope<'t>>,
    assigns: HashMap<(usize, String), Vec<Assign<'t>>>,
}

/// What the walk passes down: the scope and the statement list that a node stands in.
type Place = (usize, Range<usize>);

impl<'t> Index<'t> {
    /// Walks the file once.
    pub(super) fn new(root: &Node<'t>) -> Self {
        let outer = Scope {
            parent: None,
            range: root.range(),
            parameters: Vec::new(),
        };
        let mut index = Index {
            scopes: vec![outer],
            assigns: HashMap::new(),
        };
        let mut stack: Vec<(Node<'t>, Place)> = vec![(root.clone(), (0, root.range()))];
        while let Some((node, place)) = stack.pop() {
            let place = index.enter(&node, place);
            index.record(&node, &place);
            let children: Vec<_> = node.children().filter(|child| child.is_named()).collect();
            stack.extend(children.into_iter().rev().map(|child| (child, place.clone())));
        }
        for list in index.assigns.values_mut() {
            list.sort_by_key(|assign| assign.end);
        }
        index
    }

    /// The innermost function around an offset.
    pub(super) fn innermost(&self, offset: usize) -> usize {
        // Scopes are in the order of their starts, so the last one that contains the offset is the innermost.
        let after = self.scopes.partition_point(|scope| scope.range.start <= offset);
        let found = self.scopes[..after].iter().rposition(|scope| offset < scope.range.end);
        found.unwrap_or(0)
    }

    /// The function around a function.
    pub(super) fn parent(&self, scope: usize) -> Option<usize> {
        self.scopes[scope].parent
    }

    /// Assignments to a name in a function, in order.
    pub(super) fn assigns(&self, scope: usize, key: &str) -> &[Assign<'t>] {
        self.assigns.get(&(scope, key.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The parameter of that name.
    pub(super) fn parameter(&self, scope: usize, key: &str) -> Option<Node<'t>> {
        self.scopes[scope]
            .parameters
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node.clone())
    }

    fn enter(&mut self, node: &Node<'t>, (scope, block): Place) -> Place {
        if roles::opens_scope(node) {
            self.scopes.push(Scope {
                parent: Some(scope),
                range: node.range(),
                parameters: parameters(node),
            });
            return (self.scopes.len() - 1, node.range());
        }
        let block = if roles::is_block(&node.kind()) {
            node.range()
        } else {
            block
        };
        (scope, block)
    }

    fn record(&mut self, node: &Node<'t>, place: &Place) {
        let kind = node.kind();
        if let Some((left, right, adds)) = roles::assignment(&kind) {
            if let (Some(left), Some(right)) = (node.field(left), node.field(right)) {
                let operator = node
                    .field("operator")
                    .map(|op| op.text().into_owned())
                    .unwrap_or_default();
                let adds = adds || (operator.len() > 1 && operator.ends_with('=') && operator != ":=");
                self.assign(node, &left, &right, adds, place);
            }
        } else if kind == "foreach_statement" {
            self.foreach(node, place);
        } else if roles::role(&kind) == Role::Call {
            self.call(node, place);
        }
    }

    fn assign(&mut self, node: &Node<'t>, left: &Node<'t>, right: &Node<'t>, adds: bool, place: &Place) {
        let lefts = listed(left);
        let rights = listed(right);
        let paired = lefts.len() == rights.len() && lefts.len() > 1;
        for (at, left) in lefts.iter().enumerate() {
            let value = if paired { rights[at].clone() } else { right.clone() };
            let (keys, weak) = keys(left);
            for key in keys {
                self.push(key, node, Assigned::Expression(value.clone()), adds || weak, place);
            }
        }
    }

    /// PHP's `foreach ($all as $key => $one)` has no field names.
    fn foreach(&mut self, node: &Node<'t>, place: &Place) {
        let children: Vec<_> = node.named_children().take(2).collect();
        if let [all, one] = children.as_slice() {
            for key in keys(one).0 {
                self.push(key, all, Assigned::Expression(all.clone()), false, place);
            }
        }
    }

    /// Calls that write to what they are called on or to their first argument.
    fn call(&mut self, node: &Node<'t>, place: &Place) {
        let name = callee_name(node);
        let arguments: Vec<_> = node
            .field("arguments")
            .map(|list| list.named_children().collect())
            .unwrap_or_default();
        if matches!(
            name.as_str(),
            "append" | "push_str" | "push" | "add" | "insert" | "concat" | "WriteString"
        ) {
            // `text.append(a).append(b)` all write to `text`.
            let mut receiver = receiver_of(node);
            while let Some(call) = receiver
                .as_ref()
                .filter(|receiver| roles::role(&receiver.kind()) == Role::Call)
            {
                receiver = receiver_of(call);
            }
            if let Some(receiver) = receiver {
                let key = squeeze(&receiver.text());
                self.push(key, node, Assigned::Glue(arguments), true, place);
            }
            return;
        }
        let target = match name.as_str() {
            "sprintf" | "snprintf" | "vsnprintf" | "strcat" | "strncat" | "strcpy" | "strncpy" | "memcpy" => 0,
            "fgets" | "gets" | "scanf" => 0,
            "read" | "recv" | "recvfrom" | "fscanf" | "sscanf" => 1,
            _ => return,
        };
        let is_c = matches!(&*node.kind(), "call_expression")
            && node.field("function").is_some_and(|f| f.kind() == "identifier");
        let Some(buffer) = arguments.get(target).filter(|_| is_c) else {
            return;
        };
        let key = squeeze(buffer.text().trim_start_matches('&'));
        let value = match name.as_str() {
            "fgets" | "gets" | "read" | "recv" | "recvfrom" | "scanf" | "fscanf" => Assigned::Outside(node.range()),
            "sscanf" => return,
            _ => Assigned::Glue(arguments[1..].to_vec()),
        };
        self.push(key, node, value, true, place);
    }

    fn push(&mut self, key: String, node: &Node<'t>, value: Assigned<'t>, adds: bool, (scope, block): &Place) {
        let Range { start, end } = node.range();
        let assign = Assign {
            value,
            start,
            end,
            block: block.clone(),
            adds,
        };
        self.assigns.entry((*scope, key)).or_default().push(assign);
    }
}

/// `a, b` as two sides; anything else as one.
fn listed<'t>(node: &Node<'t>) -> Vec<Node<'t>> {
    match &*node.kind() {
        "expression_list" | "pattern_list" | "left_assignment_list" | "right_assignment_list" => {
            node.named_children().collect()
        }
        _ => vec![node.clone()],
    }
}

/// The names that a left side sets; `true` when only a part of the named thing is set.
fn keys(left: &Node<'_>) -> (Vec<String>, bool) {
    match roles::role(&left.kind()) {
        Role::Name | Role::Member => return (vec![squeeze(&left.text())], false),
        Role::Element => {
            let object = super::flow::object_of(left);
            return (object.map(|object| squeeze(&object.text())).into_iter().collect(), true);
        }
        _ => {}
    }
    if left.kind() == "constant" {
        return (vec![squeeze(&left.text())], false);
    }
    let is_name = |node: &Node<'_>| {
        matches!(
            &*node.kind(),
            "identifier" | "variable_name" | "shorthand_property_identifier_pattern" | "instance_variable"
        )
    };
    let names = left.dfs().filter(is_name).map(|node| squeeze(&node.text())).take(64);
    (names.collect(), false)
}

/// The parameters of a function, with the node that declares each.
fn parameters<'t>(function: &Node<'t>) -> Vec<(String, Node<'t>)> {
    if let Some(single) = function.field("parameter") {
        return vec![(squeeze(&single.text()), single)];
    }
    let body = function.field("body").map(|body| body.range());
    let outside_body = |node: &Node<'t>| body.as_ref().is_none_or(|body| node.range().start < body.start);
    let lists = function
        .children()
        .filter(|child| outside_body(child))
        .flat_map(|child| {
            let mut found: Vec<Node<'t>> = child.dfs().filter(|node| roles::is_parameters(&node.kind())).collect();
            found.truncate(2);
            found
        });
    let mut all = Vec::new();
    for list in lists.collect::<Vec<_>>() {
        for declaration in list.named_children() {
            let names = declaration.dfs().filter(|node| {
                matches!(
                    &*node.kind(),
                    "identifier" | "variable_name" | "shorthand_property_identifier_pattern"
                )
            });
            all.extend(names.take(32).map(|name| (squeeze(&name.text()), declaration.clone())));
        }
    }
    all
}
