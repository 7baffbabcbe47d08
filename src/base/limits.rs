//! The one table of limits (invariant B1): each has a name, a unit, a default, and the error that
//! whoever runs into it gets. `docs/limits.md` is made from it, the configuration's `[limits]`
//! sets it, and nothing else in the code invents a bound on what comes from outside.

/// One row of the table, for documentation and for the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The key in the configuration's `[limits]`.
    pub name: &'static str,
    /// What is counted: bytes, seconds, elements, …
    pub unit: &'static str,
    /// The value where the configuration says nothing.
    pub default: u64,
    /// What the one who exceeds it is answered.
    pub error: &'static str,
    /// What the limit protects.
    pub meaning: &'static str,
}

macro_rules! limits {
    ($($name:ident, $unit:literal, $default:expr, $error:literal, $meaning:literal;)*) => {
        /// The limits in force. See [`LIMITS`] for the same as a table.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $meaning] #[doc = concat!("\n\nUnit: ", $unit, ". Exceeding it: ", $error, ".")] pub $name: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// Sets the limit called `name`. `false` if there is none of that name.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => return false,
                }
                true
            }

            /// The value of the limit called `name`.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }
        }

        /// Every limit, in the order in which they are documented.
        pub const LIMITS: &[Limit] = &[
            $(Limit { name: stringify!($name), unit: $unit, default: $default, error: $error, meaning: $meaning },)*
        ];
    };
}

/// The limit that an error's text speaks of: such a text names it, for the person who may have to raise it, and so the
/// log and the metrics know it too.
pub fn named_in(text: &str) -> Option<&'static str> {
    let mut words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| word.ends_with("_max"));
    words.find_map(|word| LIMITS.iter().find(|limit| limit.name == word)).map(|limit| limit.name)
}

limits! {
    // HTTP
    body_bytes_max, "bytes", 20 * 1024 * 1024, "413", "The largest request body of any kind but a file's PUT.";
    file_bytes_max, "bytes", 100 * 1024 * 1024, "413", "The largest resource below /dav/files.";
    header_bytes_max, "bytes", 64 * 1024, "431", "All header fields of a request together.";
    connections_max, "connections", 20_000, "the connection waits", "Connections held open at once.";
    header_seconds_max, "seconds", 30, "the connection is closed", "Time to send the whole head of a request.";
    body_seconds_max, "seconds", 120, "408", "Time to send the whole body of a request.";
    idle_seconds_max, "seconds", 300, "the connection is closed", "Time a connection may be kept open without a request.";
    handler_seconds_max, "seconds", 120, "503", "Time for computing one answer.";
    // XML
    xml_depth_max, "levels", 64, "400", "Nesting of elements in a request body.";
    xml_elements_max, "elements", 100_000, "400", "Elements in a request body, and attributes in it (a multiget of 90,000 members fits).";
    xml_attributes_max, "attributes", 256, "400", "Attributes of one element, namespace declarations included.";
    xml_namespace_bytes_max, "bytes", 512, "400", "One namespace's name: each element that uses it carries a copy.";
    // Calendar objects
    resource_bytes_max, "bytes", 10 * 1024 * 1024, "403 CALDAV:max-resource-size", "The largest calendar object resource (RFC 4791 §5.2.5).";
    line_bytes_max, "bytes", 8 * 1024 * 1024, "403 CALDAV:valid-calendar-data", "The longest unfolded content line.";
    component_depth_max, "levels", 8, "403 CALDAV:valid-calendar-data", "Nesting of components in a calendar object.";
    components_max, "components", 20_000, "403 CALDAV:valid-calendar-data", "Components in one calendar object (overrides and alarms).";
    parts_max, "properties, parameters and their values", 1_000_000, "403 CALDAV:valid-calendar-data", "Properties, parameters and parameter values in one calendar object: they cost memory however short they are.";
    uid_bytes_max, "bytes", 2_048, "403 CALDAV:valid-calendar-object-resource", "The longest UID: it stands in every index.";
    availables_max, "components", 500, "403 CALDAV:valid-calendar-data", "AVAILABLEs in one VAVAILABILITY: each is a series of its own.";
    instances_max, "occurrences", 1_000_000, "403 CALDAV:max-instances", "Occurrences of one object that a stored rule with an end may have (RFC 4791 §5.2.8).";
    attendees_max, "attendees", 5_000, "403 CALDAV:max-attendees-per-instance", "Attendees of one component (RFC 4791 §5.2.9).";
    // Queries
    expand_instances_max, "occurrences", 100_000, "403 DAV:number-of-matches-within-limits", "Occurrences, and periods of busy time, that one request may make us write out.";
    recurrence_steps_max, "steps", 10_000_000, "403 DAV:number-of-matches-within-limits", "Work of the expander for one request: candidate dates looked at.";
    filter_conditions_max, "elements", 200, "403 CALDAV:supported-filter", "Elements in one CALDAV:filter: each is held against each object.";
    sync_page_max, "members", 10_000, "507 DAV:number-of-matches-within-limits and a token to go on", "Members in one sync-collection answer.";
    multiget_hrefs_max, "hrefs", 100_000, "403 DAV:number-of-matches-within-limits", "Hrefs in one calendar-multiget.";
    query_window_days_max, "days", 3_660, "403 CALDAV:max-date-time", "The longest window that free-busy and expand compute.";
    search_results_max, "principals", 500, "403 DAV:number-of-matches-within-limits", "Results of a principal search.";
    // Collections and properties
    collections_max, "collections", 1_000, "507 DAV:quota-not-exceeded", "Collections in one home, or below one user's files.";
    objects_max, "objects", 1_000_000, "507 DAV:quota-not-exceeded", "Objects in one collection.";
    quota_bytes_max, "bytes", 10 * 1024 * 1024 * 1024, "507 DAV:quota-not-exceeded", "Stored bytes of one user (RFC 4331).";
    properties_asked_max, "properties", 1_000, "400", "Properties that one request names.";
    properties_listed_max, "properties", 256, "403 DAV:number-of-matches-within-limits", "Properties that a listing names (PROPFIND with Depth 1, a REPORT): each member tells of each (clients name up to 40).";
    property_names_bytes_max, "bytes", 16 * 1024, "403 DAV:number-of-matches-within-limits", "The names and namespaces of the properties that a listing names, together.";
    copy_bytes_max, "bytes", 256 * 1024 * 1024, "507", "What one COPY of a collection, or MOVE of one to another user, takes along.";
    property_bytes_max, "bytes", 256 * 1024, "507", "One dead property.";
    properties_max, "properties", 200, "507", "Dead properties of one resource.";
    aces_max, "entries", 500, "403 DAV:limited-number-of-aces", "Entries in one access control list.";
    name_bytes_max, "bytes", 255, "403", "One segment of a path, decoded.";
    path_depth_max, "segments", 64, "403", "Depth of a path below /dav/files.";
    locks_max, "locks", 1_000, "507", "Locks that one user holds.";
    lock_seconds_max, "seconds", 86_400, "the timeout granted is shorter", "The longest lock timeout granted.";
    // Kept for later
    tombstones_max, "deleted members", 50_000, "403 DAV:valid-sync-token for older tokens", "Deletions that a collection's change log remembers.";
    // Providers
    ingest_body_bytes_max, "bytes", 4 * 1024 * 1024, "413", "The largest delivery to a hook, and body of POST /ingest/events.";
    ingest_events_max, "events", 1_000, "413", "Events in one POST /ingest/events.";
    ingest_dead_letters_max, "deliveries", 1_000, "the oldest is forgotten", "Deliveries of one account that could not be read and are kept for people.";
    ingest_pages_max, "pages", 10_000, "the pull is given up and tried again", "Pages of one pull.";
    ingest_group_max, "records", 5_000, "the record is refused and counted", "Records that hang together as one meeting: a series, its exceptions, all copies.";
    ingest_dates_max, "instances", 1_000, "later instances are left out", "Instances of a feed's or an upstream object's changed rest of a series (RANGE=THISANDFUTURE) that no rule describes: they are written out.";
    ingest_series_max, "series", 1_000, "the others are read again when they are listed", "Series of a mailbox that are remembered, to be read again when an instance of one of them is removed.";
    ingest_items_max, "items", 10_000, "the removal of one of the others has all series of the mailbox read again", "Events and occurrences of a mailbox that are remembered (11 bytes each), to know what is removed with one of them.";
    ingest_further_bytes_max, "bytes", 64 * 1024, "the rest is left out", "What comes along of one event of a feed or an upstream server as it is: properties and alarms that mean nothing to us.";
    ingest_answer_bytes_max, "bytes", 32 * 1024 * 1024, "the pull is given up and tried again", "One answer of a provider's API, or a feed.";
    ingest_unproven_bytes_max, "bytes", 64 * 1024 * 1024, "503 with Retry-After", "Bodies of deliveries to hooks in memory before it is proven whose they are, all together, beyond the first 16 KiB of each.";
    // Delivery
    webhook_tests_max, "messages", 20, "429", "Test messages that wait for one endpoint: paused, or not answering.";
    // Logins
    login_failures_max, "failures", 10, "429 with Retry-After", "Wrong passwords for an account, or from an address, before answers are delayed.";
    login_seconds_max, "seconds", 900, "429 with Retry-After", "The longest pause after wrong passwords.";
}
