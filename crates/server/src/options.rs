//! Parses the command line into checked [`Options`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderValue;
use lexopt::{Arg, Parser, ValueExt};

use crate::store::Durability;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: shearwater-server [options]

  --listen ADDR          main listener; port 0 picks a free one   [127.0.0.1:8080]
  --control ADDR         control listener, for tests; loopback    [127.0.0.1:0]
  --db PATH              SQLite file, kept between runs           [shearwater.db]
  --static DIR           files served at /
  --static-mount /P=DIR  files served under /P; may be repeated, comes before --static
  --csp POLICY           Content-Security-Policy on every static file
  --demo                 enable /demo/control, the demo page's own down switch
  --fast                 commit without waiting for the disk (benches)
  --no-keep-alive        one request per connection, so that a browser never resends
                         a dropped request by itself on a reused connection
  --help                 print this";

/// Everything a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the main listener; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Address of the control listener, of the loopback interface; port 0 picks a free one.
    pub control: SocketAddr,
    /// The SQLite file; made if it is not there.
    pub db: PathBuf,
    /// How hard a commit is written.
    pub durability: Durability,
    /// Files served at `/`.
    pub static_dir: Option<PathBuf>,
    /// Files served under a prefix of their own.
    pub mounts: Vec<Mount>,
    /// `Content-Security-Policy` of every static reply.
    pub csp: Option<HeaderValue>,
    /// Whether `/demo/control` is there.
    pub demo: bool,
    /// Whether an HTTP/1 connection may carry more than one request.
    pub keep_alive: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            db: PathBuf::from("shearwater.db"),
            durability: Durability::Full,
            static_dir: None,
            mounts: Vec::new(),
            csp: None,
            demo: false,
            keep_alive: true,
        }
    }
}

/// A folder served under a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Starts with `/`, has no `/` at its end, is neither empty nor under `/api`.
    prefix: String,
    /// The folder.
    dir: PathBuf,
}

impl Mount {
    /// Parses `/prefix=DIR`.
    ///
    /// # Errors
    /// [`OptionsError::Mount`] when a part is missing, or the prefix would hide `/` or `/api`.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let invalid = |reason| OptionsError::Mount { given: text.to_owned(), reason };
        let (prefix, dir) = text.split_once('=').ok_or_else(|| invalid("it has no `=`"))?;
        let prefix = prefix.trim_end_matches('/');
        if !prefix.starts_with('/') {
            return Err(invalid("the prefix has to start with `/` and be longer than that"));
        }
        if prefix == "/api" || prefix.starts_with("/api/") {
            return Err(invalid("`/api` is the server's own"));
        }
        if prefix.contains(['{', '}', '*', ':']) {
            return Err(invalid("the prefix is a plain path, without patterns"));
        }
        if dir.is_empty() {
            return Err(invalid("the folder is missing"));
        }
        Ok(Self { prefix: prefix.to_owned(), dir: PathBuf::from(dir) })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn dir(&self) -> &PathBuf {
        &self.dir
    }
}

/// Why the command line was not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Not an error: `--help` was asked for.
    #[error("help was asked for")]
    HelpAsked,
    /// An unknown option, a missing value or one that does not parse.
    #[error(transparent)]
    Argument(#[from] lexopt::Error),
    /// A `--static-mount` that cannot be served.
    #[error("--static-mount takes /prefix=DIR, and `{given}` is not that: {reason}")]
    Mount {
        /// The value as it was given.
        given: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `--csp` that no header can carry.
    #[error("--csp takes a header value of visible ASCII in one line")]
    Csp,
}

impl Options {
    /// Parses arguments; what is not named keeps its default.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn parse(mut parser: Parser) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("listen") => options.listen = parser.value()?.parse()?,
                Arg::Long("control") => options.control = parser.value()?.parse()?,
                Arg::Long("db") => options.db = parser.value()?.into(),
                Arg::Long("static") => options.static_dir = Some(parser.value()?.into()),
                Arg::Long("static-mount") => options.mounts.push(Mount::parse(&parser.value()?.string()?)?),
                Arg::Long("csp") => {
                    let policy = parser.value()?.string()?;
                    options.csp = Some(HeaderValue::from_str(&policy).map_err(|_| OptionsError::Csp)?);
                }
                Arg::Long("demo") => options.demo = true,
                Arg::Long("fast") => options.durability = Durability::Fast,
                Arg::Long("no-keep-alive") => options.keep_alive = false,
                Arg::Long("help") | Arg::Short('h') => return Err(OptionsError::HelpAsked),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, OptionsError> {
        Options::parse(Parser::from_args(args))
    }

    #[test]
    fn reads_every_option() {
        let options = parse(&[
            "--listen=127.0.0.1:0",
            "--static",
            "public",
            "--static-mount",
            "/shearwater/=dist",
            "--fast",
            "--demo",
            "--no-keep-alive",
            "--csp",
            "default-src 'self'",
        ])
        .unwrap();
        assert_eq!(options.listen.port(), 0);
        assert_eq!(options.mounts, [Mount { prefix: "/shearwater".into(), dir: "dist".into() }]);
        assert_eq!(options.durability, Durability::Fast);
        assert!(options.demo && !options.keep_alive && options.csp.is_some());
    }

    #[test]
    fn refuses_what_it_cannot_serve() {
        for bad in ["dist", "/=dist", "/api=dist", "/api/x=dist", "x=dist", "/x=", "/{a}=dist"] {
            assert!(matches!(parse(&["--static-mount", bad]), Err(OptionsError::Mount { .. })), "{bad}");
        }
        assert!(matches!(parse(&["--listen=nowhere"]), Err(OptionsError::Argument(_))));
    }
}
