//! AWS's spellings -> Rust's: `RotationLambdaARN` is `rotation_lambda_arn`, `AES_256` is `Aes256`.

/// The words of a name. A run of capitals is one word (`KMSInternal`: kms, internal), and so is its plural (`ARNs`).
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('_');
    let plural = |index: usize| at(index) == 's' && !at(index + 1).is_ascii_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mut start_next = true;
    for (index, &char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            start_next = true;
            continue;
        }
        let before = if index == 0 { '_' } else { at(index - 1) };
        let starts = char.is_ascii_uppercase()
            && (!before.is_ascii_uppercase() || (at(index + 1).is_ascii_lowercase() && !plural(index + 1)));
        if start_next || starts {
            words.push(String::new());
        }
        start_next = false;
        if let Some(word) = words.last_mut() {
            word.push(char.to_ascii_lowercase());
        }
    }
    words
}

/// For modules and functions.
pub fn snake(name: &str) -> String {
    words(name).join("_")
}

/// For fields: a keyword gets the raw prefix.
pub fn field(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
        "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
        "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
        "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
        "while", "yield",
    ];
    // These cannot be raw identifiers.
    const NEVER_RAW: &[&str] = &["self", "super", "crate"];
    let snake = snake(name);
    if KEYWORDS.contains(&snake.as_str()) {
        format!("r#{snake}")
    } else if NEVER_RAW.contains(&snake.as_str()) {
        format!("{snake}_")
    } else {
        snake
    }
}

/// For constants and statics.
pub fn screaming(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// For variants.
pub fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in words(name) {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    // The one word with a capital that no variant may be.
    if camel == "Self" {
        return String::from("Self_");
    }
    if camel.starts_with(|first: char| first.is_ascii_digit()) { format!("V{camel}") } else { camel }
}

/// For types. IAM begins the names of some with a small letter.
pub fn type_name(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The constructor of an error. One rule: the shape's name without `Exception`. What remains stays as AWS says it, so
/// `InternalServiceError` is `internal_service_error` and `DecryptionFailure` is `decryption_failure`.
pub fn error(shape: &str) -> String {
    snake(shape.strip_suffix("Exception").unwrap_or(shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_rust_names() {
        for (name, expected) in [
            ("SecretId", "secret_id"),
            ("RotationLambdaARN", "rotation_lambda_arn"),
            ("ARN", "arn"),
            ("TargetARNs", "target_arns"),
            ("KMSInternal", "kms_internal"),
            ("VersionIdsToStages", "version_ids_to_stages"),
            ("OpenIDConnectProviderList", "open_id_connect_provider_list"),
            ("X509Certificate", "x509_certificate"),
            ("accountAliasType", "account_alias_type"),
            ("last-changed-date", "last_changed_date"),
            ("RSAES_OAEP_SHA_256", "rsaes_oaep_sha_256"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(field("Type"), "r#type");
        assert_eq!(field("Self"), "self_");
        assert_eq!(screaming("SecretARNType"), "SECRET_ARN_TYPE");
        assert_eq!(camel("AES_256"), "Aes256");
        assert_eq!(camel("created-date"), "CreatedDate");
        assert_eq!(camel("1.2"), "V12");
        assert_eq!(camel("SELF"), "Self_");
    }

    #[test]
    fn an_error_loses_exception_and_nothing_else() {
        assert_eq!(error("ResourceNotFoundException"), "resource_not_found");
        assert_eq!(error("InternalServiceError"), "internal_service_error");
        assert_eq!(error("IDPCommunicationErrorException"), "idp_communication_error");
    }
}
