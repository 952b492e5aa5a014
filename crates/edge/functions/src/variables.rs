//! The variables that a function starts with: those of AWS's machines, those that make its programs find Coffer, and its own.

use coffer_core::Deployment;
use coffer_types::{Region, Secret};

use crate::{backing::Credentials, interpreters::Language};

/// What a function may set although we do.
const OVERRIDABLE: &[&str] = &[
    "PATH",
    "LANG",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "NODE_PATH",
    "TZ",
    "AWS_ENDPOINT_URL",
    ENDPOINT,
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
];
/// Where AWS's published rotation functions find Secrets Manager. They have no default for it.
const ENDPOINT: &str = "SECRETS_MANAGER_ENDPOINT";
/// Services of AWS whose endpoints are here.
const SERVED: &[&str] = &[
    "secretsmanager",
    "kms",
    "iam",
    "sts",
    "lambda",
    "logs",
    "ssm",
    "cloudtrail",
    "events",
    "sns",
    "monitoring",
    "cloudformation",
];

/// Where things are, as the function sees them.
pub(crate) struct Paths<'a> {
    pub(crate) task_root: &'a str,
    pub(crate) layers: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) temporary: &'a str,
    pub(crate) runtime_api: &'a str,
    pub(crate) coffer: &'a str,
    pub(crate) authorities: Option<&'a str>,
    pub(crate) language: Language,
    /// `3.11.2`
    pub(crate) version: &'a str,
    pub(crate) log_stream: &'a str,
    pub(crate) redirects: bool,
}

pub(crate) fn variables(
    of: &Deployment,
    paths: &Paths<'_>,
    credentials: Credentials,
) -> Vec<(String, Secret<String>)> {
    let Paths { task_root, layers, runtime, temporary, .. } = *paths;
    let mut set: Vec<(&str, String)> = vec![
        ("_HANDLER", of.handler.clone()),
        ("AWS_DEFAULT_REGION", of.region.to_string()),
        ("AWS_REGION", of.region.to_string()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", of.runtime)),
        ("AWS_LAMBDA_FUNCTION_NAME", of.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", of.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", of.version.clone()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", String::from("on-demand")),
        ("AWS_LAMBDA_LOG_GROUP_NAME", of.log_group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", paths.log_stream.to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", String::from(if of.logs_json { "JSON" } else { "Text" })),
        ("AWS_LAMBDA_RUNTIME_API", paths.runtime_api.to_owned()),
        ("LAMBDA_TASK_ROOT", task_root.to_owned()),
        ("LAMBDA_RUNTIME_DIR", runtime.to_owned()),
        ("LANG", String::from("en_US.UTF-8")),
        ("TZ", String::from(":UTC")),
        ("PATH", format!("/usr/local/bin:/usr/bin/:/bin:{layers}/bin")),
        ("LD_LIBRARY_PATH", format!("{task_root}:{task_root}/lib:{layers}/lib")),
        ("TMPDIR", temporary.to_owned()),
        ("AWS_ENDPOINT_URL", paths.coffer.to_owned()),
        (ENDPOINT, paths.coffer.to_owned()),
    ];
    match paths.language {
        Language::Python => {
            let minor = paths.version.rsplit_once('.').map_or(paths.version, |(minor, _)| minor);
            set.push((
                "PYTHONPATH",
                format!("{layers}/python:{layers}/python/lib/python{minor}/site-packages"),
            ));
            // The code is read-only, and so is all that it could be compiled to.
            set.push(("PYTHONDONTWRITEBYTECODE", String::from("1")));
        }
        Language::Node => {
            let major = of.runtime.trim_start_matches("nodejs").trim_end_matches(".x");
            set.push((
                "NODE_PATH",
                format!("{layers}/nodejs/node_modules:{layers}/nodejs/node{major}/node_modules"),
            ));
            // Half of what may be written to is for what is not JavaScript's.
            set.push(("NODE_OPTIONS", format!("--max-old-space-size={}", of.memory_mb.max(64))));
        }
        Language::Provided => {}
    }
    if let Some(authorities) = paths.authorities {
        for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            set.push((name, authorities.to_owned()));
        }
    }
    if of.traced {
        set.push(("AWS_XRAY_DAEMON_ADDRESS", String::from("127.0.0.1:2000")));
        set.push(("AWS_XRAY_CONTEXT_MISSING", String::from("LOG_ERROR")));
    }
    let mut all: Vec<(String, Secret<String>)> =
        set.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
    all.push((String::from("AWS_ACCESS_KEY_ID"), Secret::new(credentials.access_key_id)));
    all.push((String::from("AWS_SECRET_ACCESS_KEY"), credentials.secret_access_key));
    all.push((String::from("AWS_SESSION_TOKEN"), credentials.session_token));
    for (name, value) in &of.environment {
        let is_ours = all.iter().any(|(ours, _)| ours == name);
        if is_ours && !OVERRIDABLE.contains(&name.as_str()) && name != "NODE_OPTIONS" {
            continue;
        }
        all.retain(|(ours, _)| ours != name);
        let value_is_here =
            || names_aws(value.expose()) || (name == ENDPOINT && names_this_machine(value.expose()));
        let here = paths.redirects && value_is_here();
        let value = if here { paths.coffer.to_owned() } else { value.expose().clone() };
        all.push((name.clone(), Secret::new(value)));
    }
    all
}

/// Whether a value is the address of a service that is here, in any region: public, FIPS, of both stacks, or of a private network.
fn names_aws(value: &str) -> bool {
    let Some(host) = host(value) else { return false };
    let labels: Vec<&str> = host.split('.').collect();
    let (service, region) = match labels.as_slice() {
        [service, region, "amazonaws", "com"] | [service, region, "api", "aws"] => (*service, *region),
        [endpoint, service, region, "vpce", "amazonaws", "com"] if endpoint.starts_with("vpce-") => {
            (*service, *region)
        }
        _ => return false,
    };
    let service = service.strip_suffix("-fips").unwrap_or(service);
    region.parse::<Region>().is_ok() && SERVED.contains(&service)
}

/// What whoever sets up a function beside Coffer calls it by. Behind walls this machine is another one.
fn names_this_machine(value: &str) -> bool {
    let host = host(value).map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host));
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Of a URL without a path.
fn host(value: &str) -> Option<&str> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    (!host.contains('/')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_services_that_are_here_are_known() {
        for (value, expected) in [
            ("https://secretsmanager.eu-west-1.amazonaws.com", true),
            ("https://secretsmanager.eu-west-1.amazonaws.com/", true),
            ("https://secretsmanager.us-gov-west-1.amazonaws.com", true),
            ("http://secretsmanager.eu-west-1.amazonaws.com", true),
            ("https://secretsmanager-fips.us-east-1.amazonaws.com", true),
            ("https://secretsmanager.eu-west-1.api.aws", true),
            ("https://vpce-0a1-b2.secretsmanager.eu-west-1.vpce.amazonaws.com", true),
            ("https://dynamodb.eu-west-1.amazonaws.com", false),
            ("https://a.secretsmanager.eu-west-1.vpce.amazonaws.com", false),
            ("https://secretsmanager.eu-west-1.amazonaws.com/path", false),
            ("https://secretsmanager.eu-west-1.amazonaws.com.example.com", false),
            ("https://secretsmanager.Nowhere!.amazonaws.com", false),
            ("secretsmanager.eu-west-1.amazonaws.com", false),
        ] {
            assert_eq!(names_aws(value), expected, "{value}");
        }
    }

    #[test]
    fn this_machine_has_names() {
        for (value, expected) in [
            ("http://127.0.0.1:8443", true),
            ("https://localhost:8443/", true),
            ("http://localhost", true),
            ("http://[::1]:8443", true),
            ("https://coffer.example.com:8443", false),
            ("http://127.0.0.1.example.com", false),
            ("127.0.0.1:8443", false),
        ] {
            assert_eq!(names_this_machine(value), expected, "{value}");
        }
    }
}
