//! Search attributes: changing the custom ones of a namespace, and making values.

use std::{collections::BTreeMap, sync::Arc};

use helve_db::Batch;
use helve_visibility::{Attributes, MAX_CUSTOM_ATTRIBUTES, ValueType};
use temporalio_protos::temporal::api::common::v1::Payload;

use crate::{
    error::{Failed, Fault},
    namespaces::{Namespace, Settings},
    shell::Shell,
    storage::{add_attribute, load_attributes, remove_attribute},
};

impl Shell {
    /// Adds custom search attributes; those that are there already stay as they are.
    pub(crate) async fn add_search_attributes(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        wanted: BTreeMap<String, ValueType>,
    ) -> Result<(), Failed> {
        let (shell, namespace) = (self.clone(), namespace.clone());
        self.detached(async move {
            let _changing = shell.namespaces.changes.lock().await;
            let known = namespace.settings().attributes.clone();
            let mut batch = Batch::new();
            let mut count = known.custom().count();
            for (name, value_type) in &wanted {
                if known.get(name).is_none() {
                    add_attribute(&mut batch, namespace.id, name, *value_type);
                    count += 1;
                }
            }
            if count > MAX_CUSTOM_ATTRIBUTES {
                return Err(Failed::invalid(format!(
                    "Unable to create search attributes: cannot have more than {MAX_CUSTOM_ATTRIBUTES} search attributes."
                )));
            }
            shell.change_attributes(&namespace, batch).await
        })
        .await
    }

    /// Takes custom search attributes away. What executions have of them stays in their histories, but is neither shown
    /// nor found any more.
    pub(crate) async fn remove_search_attributes(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        names: Vec<String>,
    ) -> Result<(), Failed> {
        let (shell, namespace) = (self.clone(), namespace.clone());
        self.detached(async move {
            let _changing = shell.namespaces.changes.lock().await;
            let known = namespace.settings().attributes.clone();
            let mut batch = Batch::new();
            let names: std::collections::BTreeSet<_> = names.into_iter().collect();
            for name in &names {
                match known.get(name) {
                    Some(definition) => remove_attribute(&mut batch, definition),
                    None if Attributes::is_reserved(name) => {
                        return Err(Failed::invalid(format!(
                            "Unable to remove non-custom search attributes: {name}."
                        )));
                    }
                    None => {}
                }
            }
            shell.change_attributes(&namespace, batch).await
        })
        .await
    }

    async fn change_attributes(&self, namespace: &Namespace, batch: Batch) -> Result<(), Failed> {
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await.map_err(Fault::from)?;
        let id = namespace.id;
        let attributes = self
            .store
            .read(move |db| load_attributes(db, id))
            .await
            .map_err(Fault::from)?;
        namespace.set(Settings {
            attributes,
            ..Settings::clone(&namespace.settings())
        });
        Ok(())
    }
}

/// A text as the value of a search attribute of a type.
pub(crate) fn attribute(text: &str, value_type: &str) -> Payload {
    let metadata = [("encoding", "json/plain"), ("type", value_type)];
    Payload {
        metadata: metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .collect(),
        data: serde_json::Value::from(text).to_string().into_bytes(),
        ..Payload::default()
    }
}
