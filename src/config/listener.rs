//! How much of the server connections and calls may take, and for how long.

use std::time::Duration;

use clap::Args;

use super::some_seconds;

/// Bounds of the listeners. A source is an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Debug, Args)]
pub struct ListenerLimits {
    /// Most connections to gRPC at once.
    #[arg(long, env = "GUILDHALL_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Most connections to plain HTTP at once, and a quarter of it from one source.
    #[arg(long, env = "GUILDHALL_HTTP_CONNECTIONS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(4..))]
    pub http_connections: u32,

    /// Most connections to gRPC at once on which no good credential was presented yet. At a bound, the oldest of them
    /// without a call is closed.
    #[arg(long, env = "GUILDHALL_ANONYMOUS_CONNECTIONS", default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(1..))]
    pub anonymous_connections: u32,

    /// Most of those from one source.
    #[arg(long, env = "GUILDHALL_ANONYMOUS_CONNECTIONS_PER_SOURCE", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub anonymous_connections_per_source: u32,

    /// Most calls without a credential under way at once, half of them streams.
    #[arg(long, env = "GUILDHALL_ANONYMOUS_CALLS", default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(2..))]
    pub anonymous_calls: u32,

    /// Most of those from one source.
    #[arg(long, env = "GUILDHALL_ANONYMOUS_CALLS_PER_SOURCE", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    pub anonymous_calls_per_source: u32,

    /// Most connections of one credential.
    #[arg(long, env = "GUILDHALL_CONNECTIONS_PER_CREDENTIAL", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_credential: u32,

    /// Memory for requests and answers under way of one credential, in MiB: what has arrived, and what was not taken yet.
    #[arg(long, env = "GUILDHALL_CALL_MEMORY_PER_CREDENTIAL_MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..))]
    pub call_memory_per_credential_mib: u32,

    /// The same for all credentials together.
    #[arg(long, env = "GUILDHALL_CALL_MEMORY_MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(4..))]
    pub call_memory_mib: u32,

    /// How long a connection may take to begin, in seconds: the TLS handshake and HTTP/2's preface; the headers of a plain
    /// HTTP request.
    #[arg(long, env = "GUILDHALL_HANDSHAKE_TIMEOUT_SECONDS", default_value = "10", value_parser = some_seconds)]
    pub handshake_timeout: Duration,

    /// After how long without a call a connection is closed, in seconds; one without a credential after a fifth of it.
    #[arg(long, env = "GUILDHALL_CONNECTION_IDLE_SECONDS", default_value = "300", value_parser = some_seconds)]
    pub connection_idle: Duration,

    /// How long a request's message may take to arrive, in seconds.
    #[arg(long, env = "GUILDHALL_MESSAGE_TIMEOUT_SECONDS", default_value = "10", value_parser = some_seconds)]
    pub message_timeout: Duration,

    /// How long a client may take to receive an answer, in seconds; of a stream each part of it.
    #[arg(long, env = "GUILDHALL_ANSWER_TIMEOUT_SECONDS", default_value = "30", value_parser = some_seconds)]
    pub answer_timeout: Duration,

    /// The deadline of a call that names none, in seconds. Streams have none.
    #[arg(long, env = "GUILDHALL_DEFAULT_DEADLINE_SECONDS", default_value = "30", value_parser = some_seconds)]
    pub default_deadline: Duration,

    /// The longest deadline that counts, in seconds: a call that names a longer one gets this. Not for streams.
    #[arg(long, env = "GUILDHALL_LONGEST_DEADLINE_SECONDS", default_value = "300", value_parser = some_seconds)]
    pub longest_deadline: Duration,

    /// Most spans in a second that callers ask for by a sampled `traceparent`; of the other calls the ratio is drawn.
    #[arg(long, env = "GUILDHALL_FORCED_TRACES_PER_SECOND", default_value_t = 100)]
    pub forced_traces_per_second: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            http_connections: 256,
            anonymous_connections: 2_048,
            anonymous_connections_per_source: 256,
            anonymous_calls: 2_048,
            anonymous_calls_per_source: 256,
            connections_per_credential: 1_024,
            call_memory_per_credential_mib: 64,
            call_memory_mib: 512,
            handshake_timeout: Duration::from_secs(10),
            connection_idle: Duration::from_mins(5),
            message_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            default_deadline: Duration::from_secs(30),
            longest_deadline: Duration::from_mins(5),
            forced_traces_per_second: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::ListenerLimits;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: ListenerLimits,
    }

    #[test]
    fn what_tests_run_with_is_what_a_server_has_when_nothing_is_set() {
        let parsed = Line::parse_from(["guildhall"]).limits;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", ListenerLimits::default()));
    }
}
