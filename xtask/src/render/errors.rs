//! `errors.rs`: a constant and a constructor per error, so that nobody types a code or a status.

use std::collections::BTreeMap;

use crate::{names, overlay::Code, service::Service};

pub(super) fn render(service: &Service) -> String {
    let mut errors: BTreeMap<&str, &Code> = BTreeMap::new();
    errors.extend(service.overlay.codes.named());
    errors.extend(service.declared.iter().map(|(name, code)| (name.as_str(), code)));

    let mut text =
        super::header(service, "The errors of served operations and of the layer in front of them.");
    text += "use coffer_shape::{ApiError, ErrorSpec};\n";
    for (name, code) in &errors {
        text += &format!(
            "\npub const {}: ErrorSpec = ErrorSpec {{ code: {:?}, status: {}, message_member: {:?} }};\n",
            names::screaming(name),
            code.code,
            code.status,
            code.message,
        );
    }
    for (name, code) in &errors {
        text += &format!(
            "
/// `{}`, HTTP {}.
pub fn {name}(message: impl Into<String>) -> ApiError {{
    ApiError::new({}, message)
}}
",
            code.code,
            code.status,
            names::screaming(name),
        );
    }
    text
}
