//! Two small services, one per protocol, with one operation that holds every kind of value.

use coffer_shape::{
    Action, AuditRule, Element, Entry, ErrorSpec, Exposure, Kind, Limits, Load, Member, OperationSpec,
    Pattern, Protocol, Read, Reader, Schema, ServiceCodes, ServiceSpec, Shape, Writer, Wrote, generate::Made,
};
use coffer_types::{Entropy, RequestId, Timestamp};

/// Seeds a generator.
pub(crate) struct Seed(pub(crate) u64);

impl Entropy for Seed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(self.0.to_le_bytes().iter().cycle()).for_each(|(slot, byte)| *slot = *byte);
    }
}

pub(crate) fn request_id() -> RequestId {
    RequestId::random(&Seed(0))
}

pub(crate) const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) const fn member(name: &'static str, required: bool, schema: &'static Schema) -> Member {
    Member { name, wire: name, required, schema }
}

const fn text(name: &'static str, limits: Limits) -> Schema {
    Schema { name, kind: Kind::String, limits, sensitive: false }
}

static NAME: Schema = text("Name", Limits { min: Some(1), max: Some(64), ..Limits::NONE });
static POLICY_NAME_PATTERN: Pattern = Pattern::new("[0-9A-Za-z\\-\\_]+", "[0-9A-Za-z\\-\\_]+");
static POLICY_NAME: Schema = text(
    "PolicyName",
    Limits { min: Some(1), max: Some(64), pattern: Some(&POLICY_NAME_PATTERN), ..Limits::NONE },
);
static SECRET_STRING: Schema = Schema {
    name: "SecretString",
    kind: Kind::String,
    limits: Limits { min: Some(1), max: Some(65_536), in_bytes: true, ..Limits::NONE },
    sensitive: true,
};
static SECRET_BINARY: Schema = Schema {
    name: "SecretBinary",
    kind: Kind::Blob,
    limits: Limits { min: Some(1), max: Some(65_536), ..Limits::NONE },
    sensitive: true,
};
static LENGTH: Schema = Schema {
    name: "Length",
    kind: Kind::Integer,
    limits: Limits { min: Some(1), max: Some(4096), ..Limits::NONE },
    sensitive: false,
};
static FILTER_KEY: Schema = text("FilterKey", Limits { values: &["all", "name", "tag-key"], ..Limits::NONE });
static FILTER_MEMBERS: &[Member] =
    &[member("Key", false, &FILTER_KEY), member("Values", true, &FILTER_VALUES)];
static FILTER: Schema = Schema::plain("Filter", Kind::Structure(FILTER_MEMBERS));
static FILTERS: Schema = list("Filters", &Element { schema: &FILTER, wire: "member", flat: false }, 0, 10);
static FILTER_VALUES: Schema =
    list("FilterValues", &Element { schema: &NAME, wire: "member", flat: false }, 1, 3);
static REPLICAS: Schema = list("Replicas", &Element { schema: &NAME, wire: "member", flat: false }, 1, 1000);
static FLAT: Schema = list("Flat", &Element { schema: &NAME, wire: "member", flat: true }, 0, 5);
static CONTEXT: Schema = map("Context", false);
static FLAT_CONTEXT: Schema = map("FlatContext", true);
static NESTED_MEMBERS: &[Member] =
    &[member("Name", false, &NAME), member("Nested", false, &NESTED), member("All", false, &NESTED_LIST)];
static NESTED: Schema = Schema::plain("Nested", Kind::Structure(NESTED_MEMBERS));
static NESTED_LIST: Schema =
    Schema::plain("NestedList", Kind::List(&Element { schema: &NESTED, wire: "member", flat: false }));
static TAG_MEMBERS: &[Member] =
    &[member("Key", true, &NAME), member("Value", true, <String as Shape>::SCHEMA)];
static TAG: Schema = Schema::plain("Tag", Kind::Structure(TAG_MEMBERS));
static TAGS: Schema = list("Tags", &Element { schema: &TAG, wire: "member", flat: false }, 0, 50);

const fn list(name: &'static str, element: &'static Element, min: i64, max: i64) -> Schema {
    let limits = Limits { min: Some(min), max: Some(max), ..Limits::NONE };
    Schema { name, kind: Kind::List(element), limits, sensitive: false }
}

const fn map(name: &'static str, flat: bool) -> Schema {
    const PLAIN: &Entry =
        &Entry { key: &NAME, value: &NAME, key_wire: "key", value_wire: "value", flat: false };
    const FLAT: &Entry =
        &Entry { key: &NAME, value: &NAME, key_wire: "Name", value_wire: "Value", flat: true };
    Schema::plain(name, Kind::Map(if flat { FLAT } else { PLAIN }))
}

static MEMBERS: &[Member] = &[
    member("SecretId", true, &NAME),
    member("PolicyName", false, &POLICY_NAME),
    member("SecretString", false, &SECRET_STRING),
    member("SecretBinary", false, &SECRET_BINARY),
    member("PasswordLength", false, &LENGTH),
    member("Big", false, <i64 as Shape>::SCHEMA),
    member("Ratio", false, <f64 as Shape>::SCHEMA),
    member("Force", false, <bool as Shape>::SCHEMA),
    member("At", false, <Timestamp as Shape>::SCHEMA),
    member("Filters", false, &FILTERS),
    member("AddReplicaRegions", false, &REPLICAS),
    member("Flat", false, &FLAT),
    member("Context", false, &CONTEXT),
    member("FlatContext", false, &FLAT_CONTEXT),
    member("Tags", false, &TAGS),
    member("Nested", false, &NESTED),
];
pub(crate) static EVERYTHING: Schema = Schema::plain("Everything", Kind::Structure(MEMBERS));

/// A generated value under the one schema of this fixture.
#[derive(Debug, PartialEq)]
pub(crate) struct Everything(pub(crate) Made);

impl Shape for Everything {
    const SCHEMA: &'static Schema = &EVERYTHING;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        Made::read_as(schema, from).map(Self)
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        self.0.write_as(schema, to)
    }
}

const fn error(code: &'static str, status: u16, message_member: &'static str) -> ErrorSpec {
    ErrorSpec { code, status, message_member }
}

const fn codes(validation: &'static str, unknown: &'static str) -> ServiceCodes {
    ServiceCodes {
        validation: error(validation, 400, "message"),
        serialization: error("SerializationException", 400, "Message"),
        access_denied: error("AccessDeniedException", 400, "Message"),
        throttling: error("ThrottlingException", 400, "message"),
        internal: error("InternalServiceError", 500, "Message"),
        unavailable: error("ServiceUnavailable", 503, "message"),
        unknown_operation: error(unknown, 400, "message"),
    }
}

const fn operation(
    service: &'static ServiceSpec,
    name: &'static str,
    exposure: Exposure,
    body_limit: usize,
    output: &'static Schema,
) -> OperationSpec {
    OperationSpec {
        service,
        name,
        action: Action("test:Anything"),
        read_only: true,
        load: Load::Read,
        body_limit,
        exposure,
        audit: AuditRule { request: &[], response: &[], read_only: false },
        conditions: &[],
        rest: None,
        input: &EVERYTHING,
        output,
        errors: &[],
    }
}

const NOTHING: &Schema = <coffer_shape::Empty as Shape>::SCHEMA;

pub(crate) static SECRETS: ServiceSpec = ServiceSpec {
    name: "secretsmanager",
    api_version: "2017-10-17",
    protocol: Protocol::AwsJson11 { target_prefix: "secretsmanager" },
    event_source: "secretsmanager.amazonaws.com",
    global: false,
    events_in: None,
    bare_denials: false,
    codes: codes("ValidationException", "UnknownOperationException"),
    operations: &[&GET, &LOOKUP],
    unserved: &["RotateSecret"],
};
pub(crate) static GET: OperationSpec =
    operation(&SECRETS, "GetEverything", Exposure::Public, 4096, &EVERYTHING);
static LOOKUP: OperationSpec = operation(&SECRETS, "LookUp", Exposure::Internal, 4096, NOTHING);

static TRAIL: ServiceSpec = ServiceSpec {
    name: "cloudtrail",
    api_version: "2013-11-01",
    protocol: Protocol::AwsJson11 { target_prefix: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" },
    event_source: "cloudtrail.amazonaws.com",
    global: false,
    events_in: None,
    bare_denials: false,
    codes: codes("ValidationException", "UnknownOperationException"),
    operations: &[&LOOKUP_EVENTS],
    unserved: &[],
};
static LOOKUP_EVENTS: OperationSpec = operation(&TRAIL, "LookupEvents", Exposure::Public, 8192, &EVERYTHING);

pub(crate) static STS: ServiceSpec = ServiceSpec {
    name: "sts",
    api_version: "2011-06-15",
    protocol: Protocol::Query { namespace: "https://sts.amazonaws.com/doc/2011-06-15/" },
    event_source: "sts.amazonaws.com",
    global: false,
    events_in: None,
    bare_denials: false,
    codes: ServiceCodes {
        serialization: error("MalformedInput", 400, "Message"),
        ..codes("ValidationError", "InvalidAction")
    },
    operations: &[&ASSUME, &FORGET, &RENEW],
    unserved: &["GetFederationToken"],
};
pub(crate) static ASSUME: OperationSpec =
    operation(&STS, "AssumeEverything", Exposure::Public, 10_000, &EVERYTHING);
pub(crate) static FORGET: OperationSpec = operation(&STS, "Forget", Exposure::Public, 20_000, NOTHING);
/// An output in the model, and nothing in it.
pub(crate) static RENEW: OperationSpec = operation(&STS, "Renew", Exposure::Public, 20_000, &RENEW_RESPONSE);
static RENEW_RESPONSE: Schema = Schema::plain("RenewResponse", Kind::Structure(&[]));

pub(crate) static SERVICES: &[&ServiceSpec] = &[&SECRETS, &TRAIL, &STS];
