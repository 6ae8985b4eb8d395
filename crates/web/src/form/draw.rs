//! Fields as HTML.

use maud::{Markup, html};

use super::PREFIX;
use super::schema::{Field, FieldKind, Form};
use crate::text::{Plain, message, short};

/// Fields with more choices become a list to pick from.
const RADIOS: usize = 5;

/// All fields of a form.
pub(crate) fn fields(form: &Form) -> Markup {
    html! { @for (number, field) in form.fields.iter().enumerate() { (drawn(field, &format!("field-{number}"))) } }
}

fn drawn(field: &Field, id: &str) -> Markup {
    let help = (!field.help.is_empty()).then(|| format!("{id}-help"));
    let error = field.error.is_some().then(|| format!("{id}-error"));
    let described = match (&help, &error) {
        (Some(help), Some(error)) => Some(format!("{error} {help}")),
        (one, other) => other.clone().or_else(|| one.clone()),
    };
    let input = Input {
        id,
        name: format!("{PREFIX}{}", field.name),
        described: described.as_deref(),
        wrong: field.error.is_some(),
        field,
    };
    let grouped = matches!(&field.kind, FieldKind::Choices(_))
        || matches!(&field.kind, FieldKind::Choice(choices) if choices.len() <= RADIOS);
    let notes = html! {
        @if let (Some(error), Some(text)) = (&error, &field.error) { p.field-error id=(error) { (message(text)) } }
        @if let Some(help) = &help { p.help id=(help) { (message(&field.help)) } }
    };
    html! {
        @if field.kind == FieldKind::Switch {
            div.field {
                label.check for=(id) { (input.draw()) span { (Plain(&field.label)) } }
                (notes)
            }
        } @else if grouped {
            fieldset.field aria-describedby=[&described] {
                legend { (label(field)) }
                (input.draw())
                (notes)
            }
        } @else {
            div.field {
                label for=(id) { (label(field)) }
                (input.draw())
                (notes)
            }
        }
    }
}

fn label(field: &Field) -> Markup {
    html! {
        (Plain(&field.label))
        @if field.required { " " span.optional { "required" } }
    }
}

struct Input<'a> {
    id: &'a str,
    name: String,
    described: Option<&'a str>,
    wrong: bool,
    field: &'a Field,
}

impl Input<'_> {
    fn draw(&self) -> Markup {
        let required = self.field.required;
        let invalid = self.wrong.then_some("true");
        let value = self.field.value.first().map_or("", String::as_str);
        let (id, name, described) = (self.id, self.name.as_str(), self.described);
        match &self.field.kind {
            // The pattern is left to the server: a schema's may match a part, a browser's must match all, in another dialect.
            FieldKind::Text { max_length, .. } => html! {
                input type="text" id=(id) name=(name) value=(value) required[required] maxlength=[max_length]
                    autocomplete="off" spellcheck="false" aria-describedby=[described] aria-invalid=[invalid];
            },
            FieldKind::Secret => html! {
                input type="password" id=(id) name=(name) required[required] autocomplete="off"
                    aria-describedby=[described] aria-invalid=[invalid];
            },
            FieldKind::Integer { minimum, maximum } => html! {
                input.short type="number" step="1" id=(id) name=(name) value=(value) min=[minimum] max=[maximum] required[required]
                    inputmode="numeric" aria-describedby=[described] aria-invalid=[invalid];
            },
            FieldKind::Number { minimum, maximum } => html! {
                input.short type="number" step="any" id=(id) name=(name) value=(value) min=[minimum] max=[maximum] required[required]
                    inputmode="decimal" aria-describedby=[described] aria-invalid=[invalid];
            },
            FieldKind::Switch => html! {
                input type="checkbox" id=(id) name=(name) value="true" checked[!value.is_empty()] aria-describedby=[described];
            },
            FieldKind::Choice(choices) if choices.len() <= RADIOS => html! {
                div.options {
                    @for choice in choices {
                        label.option {
                            input type="radio" name=(name) value=(choice) checked[choice == value] required[required];
                            span { (Plain(choice)) }
                        }
                    }
                }
            },
            FieldKind::Choice(choices) => html! {
                select id=(id) name=(name) required[required] aria-describedby=[described] aria-invalid=[invalid] {
                    @if !choices.iter().any(|choice| choice == value) { option value="" { "" } }
                    @for choice in choices { option value=(choice) selected[choice == value] { (short(choice, 60)) } }
                }
            },
            FieldKind::Choices(choices) => html! {
                div.options {
                    @for choice in choices {
                        label.option {
                            input type="checkbox" name=(name) value=(choice) checked[self.field.value.contains(choice)];
                            span { (Plain(choice)) }
                        }
                    }
                }
            },
            FieldKind::Lines => html! {
                textarea id=(id) name=(name) rows="3" placeholder="One a line" required[required] spellcheck="false"
                    aria-describedby=[described] aria-invalid=[invalid] { (value) }
            },
            FieldKind::Json => html! {
                textarea.mono id=(id) name=(name) rows="4" placeholder="JSON" required[required] spellcheck="false"
                    aria-describedby=[described] aria-invalid=[invalid] { (value) }
            },
        }
    }
}
