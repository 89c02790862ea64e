//! Where the database is, as its URL says it. The URL may hold a password: nothing here shows any of it but host and name.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{Connection, PgConnection};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

use super::connect::OpenError;

/// The parameters that a URL of PostgreSQL may have. The driver ignores others, and logs them with what they are set to.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How long it is asked once more why the database cannot be reached.
const ASKING: Duration = Duration::from_secs(1);

/// Where the database is. Shown, and in debugging, it is host and name, or the path; never user or password.
#[derive(Clone)]
pub enum Location {
    /// An embedded database, in this file.
    Sqlite(PathBuf),
    /// A database of a server.
    Postgres(Box<PgConnectOptions>),
}

impl Location {
    /// Reads `postgres://user:password@host:port/database`, or `sqlite://` and a path as it is.
    ///
    /// # Errors
    /// - [`OpenError::UrlUnknown`] if it begins otherwise.
    /// - [`OpenError::UrlMalformed`] if the rest cannot be read, or could be read in two ways.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        match url.split_once("://") {
            Some(("sqlite", path)) => sqlite(path),
            Some(("postgres" | "postgresql", rest)) => {
                must_be_unambiguous(rest)?;
                let malformed = |_| OpenError::UrlMalformed("the form is postgres://user:password@host:port/database");
                url.parse().map(|options| Self::Postgres(Box::new(options))).map_err(malformed)
            }
            _ => Err(OpenError::UrlUnknown),
        }
    }

    /// Makes the error of a database that cannot be reached. A pool that was refused again and again says no more than that
    /// it took too long, so the server is asked once more.
    pub(in crate::store) async fn unreachable(&self, error: DbErr) -> OpenError {
        let database = self.to_string();
        let Self::Postgres(options) = self else { return OpenError::Unreachable { database, source: error } };
        match tokio::time::timeout(ASKING, PgConnection::connect_with(options)).await {
            Ok(Err(SqlxError::Io(source))) if source.kind() == std::io::ErrorKind::ConnectionRefused => {
                OpenError::Refused { database }
            }
            Ok(Err(source)) => {
                OpenError::Unreachable { database, source: DbErr::Conn(RuntimeErr::SqlxError(source.into())) }
            }
            Ok(Ok(_)) | Err(_) => OpenError::Unreachable { database, source: error },
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "the SQLite database {}", path.display()),
            Self::Postgres(options) => {
                // As PostgreSQL has it: whoever names no database means the one named like the user.
                let name = options.get_database().unwrap_or_else(|| options.get_username());
                write!(f, "the PostgreSQL database {name} on ")?;
                match (options.get_socket(), options.get_host()) {
                    (Some(socket), _) => write!(f, "{}", socket.display()),
                    (None, socket) if socket.starts_with('/') => f.write_str(socket),
                    (None, host) => write!(f, "{host}:{}", options.get_port()),
                }
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

fn sqlite(path: &str) -> Result<Location, OpenError> {
    match path {
        "" | ":memory:" => Err(OpenError::UrlMalformed("sqlite:// is followed by the path of a file")),
        path => Ok(Location::Sqlite(path.into())),
    }
}

/// Refuses what is left of a password after one of its characters has ended the part that it belongs to: the driver would
/// take it for the name of a database or a parameter, and these are shown.
fn must_be_unambiguous(rest: &str) -> Result<(), OpenError> {
    let (_, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if tail.contains(['@', '#']) {
        let how = "/ ? # and @ in a user, a password or a name are written as %2F %3F %23 and %40";
        return Err(OpenError::UrlMalformed(how));
    }
    let parameters = tail.split_once('?').map_or("", |(_, parameters)| parameters);
    let is_known = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        PARAMETERS.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
    };
    if parameters.split('&').filter(|parameter| !parameter.is_empty()).all(is_known) {
        return Ok(());
    }
    Err(OpenError::UrlMalformed(
        "it has a parameter that is not known; those that are: sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, \
         port, dbname, user, password, options, options[…], statement-cache-capacity",
    ))
}

#[cfg(test)]
mod tests {
    use crate::store::*;

    #[test]
    fn host_and_name_are_shown_and_nothing_else() {
        for (url, shown) in [
            ("postgres://ada:hunter2@db.example.test:6432/guildhall", "guildhall on db.example.test:6432"),
            ("postgresql://ada:hunter2@db.example.test/guildhall?sslmode=require", "guildhall on db.example.test:5432"),
            ("postgres://guildhall:hunter2@db.example.test", "guildhall on db.example.test:5432"),
            ("postgres://db.example.test/guildhall?user=ada&password=hunter2", "guildhall on db.example.test:5432"),
            ("postgres://ada:hunter2@[::1]/guildhall", "guildhall on [::1]:5432"),
            ("postgres://ada:hunter2@%2Frun%2Fpostgresql/guildhall", "guildhall on /run/postgresql"),
            ("postgres://ada:a%2Fb%3Fc%23d%40hunter2@db.example.test/guildhall", "guildhall on db.example.test:5432"),
        ] {
            let location = Location::parse(url).expect(url);
            assert_eq!(location.to_string(), format!("the PostgreSQL database {shown}"), "{url}");
            assert!(!format!("{location:?}").contains("hunter2"), "{location:?}");
        }
        let location = Location::parse("sqlite:///var/lib/50%25?/guildhall.sqlite").expect("a path as it is");
        assert_eq!(location.to_string(), "the SQLite database /var/lib/50%25?/guildhall.sqlite");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_none_of_it_is_shown() {
        for url in [
            "postgres://ada:hunter2/hunter2@db.example.test/guildhall",
            "postgres://ada:hunter2#hunter2@db.example.test/guildhall",
            "postgres://ada:hunter2?hunter2@db.example.test/guildhall",
            "postgres://ada:12/hunter2@db.example.test/guildhall",
            "postgres://ada:12?hunter2@db.example.test/guildhall",
            "postgres://ada:hunter2@db.example.test/guildhall#hunter2",
            "postgres://ada:hunter2@db.example.test:hunter2/guildhall",
            "postgres://ada:hunter2@db.example.test:65536/guildhall",
            "postgres://ada:hunter2@db example test/guildhall",
            "postgres://ada:%ff%fehunter2@db.example.test/guildhall",
            "postgres://ada@db.example.test/guildhall?sslmode=hunter2",
            "postgres://ada@db.example.test/guildhall?port=hunter2",
            "postgres://ada@db.example.test/guildhall?pasword=hunter2",
            "postgres://ada@db.example.test/guildhall?hunter2",
            "postgres:ada:hunter2@db.example.test/guildhall",
            "hunter2",
            "mysql://ada:hunter2@db.example.test/guildhall",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://",
            "",
        ] {
            let refused = Location::parse(url).expect_err(url);
            assert!(matches!(refused, OpenError::UrlUnknown | OpenError::UrlMalformed(_)), "{url}: {refused:?}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{url}: {refused}");
        }
    }
}
