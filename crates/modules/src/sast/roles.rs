//! What the nodes of the grammars mean for the flow of values: one table for all languages.
//!
//! The grammars largely agree on names, and a name that exists in one language only can do no harm in the others.

use super::flow::Node;

/// The part a node plays when a value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A literal without parts that vary.
    Literal,
    /// A string that may contain interpolations.
    Text,
    /// An operator with two sides.
    Binary,
    /// One of several values.
    Choice,
    /// A name that is looked up.
    Name,
    /// A property of something.
    Member,
    /// An element of something.
    Element,
    /// A call, with arguments.
    Call,
    /// A Rust macro call: its arguments are tokens.
    Macro,
    /// The value is that of its parts.
    Parts,
    /// Ruby's `<<~SQL`: the text follows later.
    Heredoc,
    /// Anything else: not known.
    Other,
}

/// The role of a node kind.
pub(super) fn role(kind: &str) -> Role {
    match kind {
        "integer"
        | "float"
        | "true"
        | "false"
        | "none"
        | "null"
        | "nil"
        | "undefined"
        | "number"
        | "ellipsis"
        | "regex"
        | "boolean"
        | "boolean_literal"
        | "char_literal"
        | "character_literal"
        | "rune_literal"
        | "int_literal"
        | "integer_literal"
        | "float_literal"
        | "imaginary_literal"
        | "negative_literal"
        | "decimal_integer_literal"
        | "hex_integer_literal"
        | "octal_integer_literal"
        | "binary_integer_literal"
        | "decimal_floating_point_literal"
        | "null_literal"
        | "class_literal"
        | "raw_string_literal"
        | "nowdoc"
        | "number_literal"
        | "simple_symbol"
        | "symbol_array"
        | "string_array"
        | "rational"
        | "complex"
        | "character"
        | "hash_key_symbol"
        | "sizeof_expression"
        | "unit_expression"
        | "class_constant_access_expression"
        | "constant"
        | "name"
        | "iota"
        | "comparison_operator"
        | "not_operator"
        | "function_definition"
        | "lambda"
        | "arrow_function"
        | "function_expression"
        | "user_defined_literal" => Role::Literal,
        "string"
        | "template_string"
        | "encapsed_string"
        | "heredoc"
        | "heredoc_body"
        | "string_literal"
        | "interpreted_string_literal"
        | "delimited_symbol"
        | "concatenated_string"
        | "chained_string"
        | "subshell"
        | "template_expression" => Role::Text,
        "binary_operator" | "binary_expression" | "binary" | "boolean_operator" => Role::Binary,
        "conditional_expression" | "ternary_expression" | "conditional" | "if_expression" => Role::Choice,
        "identifier"
        | "variable_name"
        | "instance_variable"
        | "global_variable"
        | "class_variable"
        | "shorthand_property_identifier"
        | "dynamic_variable_name"
        | "shorthand_field_identifier" => Role::Name,
        "attribute"
        | "member_expression"
        | "field_access"
        | "selector_expression"
        | "member_access_expression"
        | "nullsafe_member_access_expression"
        | "scoped_property_access_expression"
        | "field_expression"
        | "scoped_identifier"
        | "scope_resolution"
        | "qualified_identifier"
        | "qualified_name" => Role::Member,
        "subscript"
        | "subscript_expression"
        | "array_access"
        | "index_expression"
        | "slice_expression"
        | "element_reference" => Role::Element,
        "call"
        | "call_expression"
        | "new_expression"
        | "method_invocation"
        | "object_creation_expression"
        | "function_call_expression"
        | "member_call_expression"
        | "nullsafe_member_call_expression"
        | "scoped_call_expression" => Role::Call,
        "macro_invocation" => Role::Macro,
        "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "array"
        | "object"
        | "hash"
        | "expression_list"
        | "parenthesized_expression"
        | "parenthesized_statements"
        | "await"
        | "await_expression"
        | "list_splat"
        | "keyword_argument"
        | "list_comprehension"
        | "generator_expression"
        | "set_comprehension"
        | "spread_element"
        | "as_expression"
        | "satisfies_expression"
        | "non_null_expression"
        | "type_assertion"
        | "cast_expression"
        | "array_initializer"
        | "array_creation_expression"
        | "array_element_initializer"
        | "argument"
        | "arguments"
        | "argument_list"
        | "composite_literal"
        | "literal_value"
        | "literal_element"
        | "keyed_element"
        | "unary_expression"
        | "unary_op_expression"
        | "unary"
        | "type_conversion_expression"
        | "type_assertion_expression"
        | "reference_expression"
        | "try_expression"
        | "type_cast_expression"
        | "array_expression"
        | "tuple_expression"
        | "pointer_expression"
        | "compound_literal_expression"
        | "initializer_list"
        | "splat_argument"
        | "named_expression"
        | "error_suppression_expression"
        | "sequence_expression"
        | "generic_function"
        | "unary_operator"
        | "interpolation"
        | "template_substitution"
        | "block"
        | "then"
        | "else"
        | "else_clause"
        | "expression_statement"
        | "variadic_argument"
        | "string_interpolation"
        | "variadic_unpacking"
        | "dictionary_splat"
        | "field_initializer" => Role::Parts,
        "heredoc_beginning" => Role::Heredoc,
        _ => Role::Other,
    }
}

/// Parts of a string that never vary.
pub(super) fn is_plain_text(kind: &str) -> bool {
    matches!(
        kind,
        "string_start"
            | "string_end"
            | "string_content"
            | "string_fragment"
            | "escape_sequence"
            | "heredoc_content"
            | "interpreted_string_literal_content"
            | "multiline_string_fragment"
            | "heredoc_start"
            | "heredoc_end"
            | "nowdoc_string"
            | "escape_interpolation"
            | "line_continuation"
            | "character"
            | "comment"
            | "string_value"
    )
}

/// A node that opens a scope of local names.
pub(super) fn is_scope(kind: &str) -> bool {
    matches!(
        kind,
        "function_definition"
            | "lambda"
            | "function_declaration"
            | "function_expression"
            | "arrow_function"
            | "method_definition"
            | "generator_function"
            | "generator_function_declaration"
            | "method_declaration"
            | "constructor_declaration"
            | "lambda_expression"
            | "func_literal"
            | "anonymous_function"
            | "method"
            | "singleton_method"
            | "block"
            | "do_block"
            | "function_item"
            | "closure_expression"
    )
}

/// Ruby calls its `{ ... }` closures what other grammars call a statement block.
pub(super) fn opens_scope(node: &Node<'_>) -> bool {
    let kind = node.kind();
    is_scope(&kind) && (kind != "block" || node.field("parameters").is_some())
}

/// A list of statements: what is assigned in it holds for what follows in it.
pub(super) fn is_block(kind: &str) -> bool {
    matches!(
        kind,
        "block"
            | "module"
            | "program"
            | "statement_block"
            | "compound_statement"
            | "source_file"
            | "translation_unit"
            | "body_statement"
            | "then"
            | "else"
            | "do_block"
            | "statement_list"
            | "constructor_body"
            | "switch_case"
            | "block_body"
            | "switch_default"
            | "case_statement"
            | "default_statement"
            | "colon_block"
    )
}

/// A list of parameters.
pub(super) fn is_parameters(kind: &str) -> bool {
    matches!(
        kind,
        "parameters"
            | "formal_parameters"
            | "parameter_list"
            | "method_parameters"
            | "closure_parameters"
            | "lambda_parameters"
            | "block_parameters"
            | "inferred_parameters"
    )
}

/// How a node kind assigns: the fields of both sides, and whether the old value stays part of the new one.
pub(super) fn assignment(kind: &str) -> Option<(&'static str, &'static str, bool)> {
    Some(match kind {
        "assignment"
        | "assignment_expression"
        | "short_var_declaration"
        | "assignment_statement"
        | "reference_assignment_expression" => ("left", "right", false),
        "augmented_assignment"
        | "augmented_assignment_expression"
        | "operator_assignment"
        | "compound_assignment_expr" => ("left", "right", true),
        "named_expression"
        | "variable_declarator"
        | "var_spec"
        | "const_spec"
        | "const_item"
        | "static_item"
        | "static_variable_declaration"
        | "enhanced_for_statement"
        | "resource" => ("name", "value", false),
        "let_declaration" | "let_condition" | "for_expression" | "for" => ("pattern", "value", false),
        "for_statement" | "for_in_clause" | "for_in_statement" | "range_clause" => ("left", "right", false),
        "init_declarator" => ("declarator", "value", false),
        "for_range_loop" => ("declarator", "right", false),
        "public_field_definition" | "field_definition" => ("name", "value", false),
        "property_element" => ("name", "default_value", false),
        _ => return None,
    })
}

/// Functions whose result is text made from their arguments.
pub(super) fn is_format(name: &str) -> bool {
    matches!(
        name,
        "format"
            | "sprintf"
            | "vsprintf"
            | "Sprintf"
            | "Sprint"
            | "Sprintln"
            | "formatted"
            | "concat"
            | "strcat"
            | "format_map"
            | "substitute"
            | "safe_substitute"
            | "asprintf"
            | "append"
            | "insert"
            | "prepend"
            | "push_str"
    )
}

/// Functions and methods whose result carries what went in.
pub(super) fn is_propagator(name: &str) -> bool {
    matches!(
        name,
        "str"
            | "String"
            | "string"
            | "toString"
            | "to_string"
            | "to_s"
            | "text"
            | "raw"
            | "literal"
            | "SQL"
            | "sql"
            | "join"
            | "Join"
            | "implode"
            | "strip"
            | "trim"
            | "Trim"
            | "TrimSpace"
            | "lower"
            | "upper"
            | "toLowerCase"
            | "toUpperCase"
            | "strtolower"
            | "strtoupper"
            | "ToLower"
            | "ToUpper"
            | "replace"
            | "Replace"
            | "ReplaceAll"
            | "str_replace"
            | "gsub"
            | "sub"
            | "encode"
            | "decode"
            | "unquote"
            | "unquote_plus"
            | "urldecode"
            | "rawurldecode"
            | "decodeURIComponent"
            | "decodeURI"
            | "PathUnescape"
            | "QueryUnescape"
            | "b64decode"
            | "base64_decode"
            | "atob"
            | "from"
            | "resolve"
            | "normalize"
            | "Path"
            | "PathBuf"
            | "new"
            | "File"
            | "Paths"
            | "urljoin"
            | "StringBuilder"
            | "StringBuffer"
            | "to_owned"
            | "clone"
            | "as_str"
            | "as_ref"
            | "into"
            | "unwrap"
            | "unwrap_or_default"
            | "unwrap_or"
            | "expect"
            | "Clean"
            | "dup"
            | "strdup"
            | "c_str"
            | "bytes"
            | "getBytes"
            | "toByteArray"
            | "list"
            | "tuple"
            | "dict"
            | "sorted"
            | "reversed"
            | "array_map"
            | "array_values"
            | "split"
            | "slice"
            | "substring"
            | "substr"
            | "ltrim"
            | "rtrim"
            | "stripslashes"
            | "URL"
            | "URI"
            | "Request"
            | "parse"
            | "Parse"
            | "create"
            | "HttpGet"
            | "HttpPost"
            | "valueOf"
            | "of"
            | "get"
            | "stringify"
            | "dumps"
            | "json_encode"
            | "assign"
            | "html_safe"
            | "expand_path"
            | "nl2br"
            | "Reader"
            | "NewReader"
            | "StringReader"
            | "StringIO"
            | "BytesIO"
            | "ByteArrayInputStream"
            | "ObjectInputStream"
            | "InputSource"
            | "StreamSource"
            | "open"
            | "NewRequest"
            | "LdapName"
            | "fmt"
            | "Buffer"
    )
}
