//! Faults on request: what real service providers do to their clients, deterministically, so
//! that a client's patience can be tried.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::deviation::Deviation;

/// A hundred years, which a date can still hold.
const MOST_MINUTES: u64 = 100 * 365 * 24 * 60;

/// One thing that goes wrong, written `NAME` or `NAME:ARGS`, such as `throttle:every=4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every so many requests is answered 429. `Retry-After` goes through its forms: whole
    /// seconds, a fraction, an HTTP date.
    Throttle {
        /// Which requests: each whose number this divides.
        every: u64,
    },
    /// Every so many requests is answered 500 or, in turn, 503, and does nothing.
    ServerErrors {
        /// Which requests.
        every: u64,
    },
    /// Every so many successful writes is done and kept, and its connection then dropped
    /// without an answer.
    LostAnswers {
        /// Which writes.
        every: u64,
        /// Only writes of this method are counted and lost.
        method: Option<String>,
    },
    /// Every so many requests that name a resource are answered 404, and do nothing: a route or a
    /// replica that does not know it.
    NotFound {
        /// Which requests.
        every: u64,
        /// Only requests of this method are counted and refused.
        method: Option<String>,
    },
    /// Every answer waits.
    Slow {
        /// How long.
        delay: Duration,
    },
    /// After so many requests, connections are refused.
    DownAfter {
        /// How many are still answered.
        requests: u64,
    },
    /// Every answer's Date is later than it is.
    WrongClock {
        /// By how much.
        ahead: Duration,
    },
    /// The server is, all the time, not what the RFCs say.
    Deviates(Deviation),
}

/// One line of help on a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultHelp {
    /// What is written before the colon.
    pub name: &'static str,
    /// The whole form, with its arguments.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// Why a text is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a fault: {problem}")]
pub struct FaultError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Fault {
    /// Every fault that comes and goes.
    const PASSING: &'static [FaultHelp] = &[
        FaultHelp {
            name: "throttle",
            usage: "throttle[:every=N]",
            help: "answer every Nth request (default 3) with 429 and a Retry-After",
        },
        FaultHelp {
            name: "server-errors",
            usage: "server-errors[:every=N]",
            help: "answer every Nth request (default 3) with 500 or 503, doing nothing",
        },
        FaultHelp {
            name: "lost-answers",
            usage: "lost-answers[:every=N,method=POST]",
            help: "do every Nth write (default 2), then drop the connection without an answer",
        },
        FaultHelp {
            name: "not-found",
            usage: "not-found[:every=N,method=PATCH]",
            help: "answer every Nth request (default 2) for one resource with 404, doing nothing",
        },
        FaultHelp {
            name: "slow",
            usage: "slow[:ms=N]",
            help: "wait N milliseconds (default 50) before each answer",
        },
        FaultHelp {
            name: "down-after",
            usage: "down-after:N",
            help: "refuse connections once N requests were answered",
        },
        FaultHelp {
            name: "wrong-clock",
            usage: "wrong-clock[:minutes=N]",
            help: "date every answer N minutes (default 60) later than it is",
        },
    ];
}

impl Fault {
    /// Every fault there is, for the command line's help.
    pub fn all() -> impl Iterator<Item = &'static FaultHelp> {
        let lasting = Deviation::ALL.iter().map(|(_, help)| help);
        Self::PASSING.iter().chain(lasting)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text.trim()).map_err(|problem| FaultError {
            text: text.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Throttle { every } => write!(formatter, "throttle:every={every}"),
            Fault::ServerErrors { every } => write!(formatter, "server-errors:every={every}"),
            Fault::LostAnswers { every, method } => {
                write!(formatter, "lost-answers:every={every}")?;
                write_method(formatter, method.as_deref())
            }
            Fault::NotFound { every, method } => {
                write!(formatter, "not-found:every={every}")?;
                write_method(formatter, method.as_deref())
            }
            Fault::Slow { delay } => write!(formatter, "slow:ms={}", delay.as_millis()),
            Fault::DownAfter { requests } => write!(formatter, "down-after:{requests}"),
            Fault::Deviates(deviation) => formatter.write_str(deviation.name()),
            Fault::WrongClock { ahead } => {
                write!(formatter, "wrong-clock:minutes={}", ahead.as_secs() / 60)
            }
        }
    }
}

fn write_method(formatter: &mut fmt::Formatter<'_>, method: Option<&str>) -> fmt::Result {
    match method {
        Some(method) => write!(formatter, ",method={method}"),
        None => Ok(()),
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (name, arguments) = text.split_once(':').unwrap_or((text, ""));
    let arguments = |allowed: &[&'static str]| Arguments::parse(arguments, allowed);
    match name {
        "throttle" => Ok(Fault::Throttle {
            every: arguments(&["every"])?.number("every", 3)?,
        }),
        "server-errors" => Ok(Fault::ServerErrors {
            every: arguments(&["every"])?.number("every", 3)?,
        }),
        "lost-answers" => {
            let arguments = arguments(&["every", "method"])?;
            Ok(Fault::LostAnswers {
                every: arguments.number("every", 2)?,
                method: arguments.method()?,
            })
        }
        "not-found" => {
            let arguments = arguments(&["every", "method"])?;
            Ok(Fault::NotFound {
                every: arguments.number("every", 2)?,
                method: arguments.method()?,
            })
        }
        "slow" => Ok(Fault::Slow {
            delay: Duration::from_millis(arguments(&["ms"])?.number("ms", 50)?),
        }),
        "down-after" => {
            let arguments = arguments(&["n"])?;
            if arguments.0.is_empty() {
                return Err("say after how many requests, as in `down-after:10`".to_owned());
            }
            Ok(Fault::DownAfter {
                requests: arguments.number("n", 1)?,
            })
        }
        "wrong-clock" => {
            let minutes = arguments(&["minutes"])?.number("minutes", 60)?;
            if minutes > MOST_MINUTES {
                return Err(format!("`minutes` can be at most {MOST_MINUTES}"));
            }
            Ok(Fault::WrongClock {
                ahead: Duration::from_secs(minutes * 60),
            })
        }
        name => match Deviation::find(name) {
            Some(deviation) => {
                arguments(&[])?;
                Ok(Fault::Deviates(deviation))
            }
            None => Err(describe_unknown(name)),
        },
    }
}

fn describe_unknown(name: &str) -> String {
    let names: Vec<&str> = Fault::all().map(|fault| fault.name).collect();
    let closest = names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    let names = names.join(", ");
    match closest {
        Some((_, known)) => format!("did you mean `{known}`? There are: {names}"),
        None => format!("there are: {names}"),
    }
}

/// `every=3,method=POST`; a bare value stands for the first of the allowed names.
struct Arguments<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Arguments<'a> {
    fn parse(text: &'a str, allowed: &[&'a str]) -> Result<Self, String> {
        let mut arguments = Vec::new();
        for argument in text
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => (allowed.first().copied().unwrap_or_default(), argument),
            };
            if !allowed.contains(&name) {
                let allowed = allowed.join(", ");
                return Err(format!("it has no `{name}`; it takes: {allowed}"));
            }
            arguments.push((name, value));
        }
        Ok(Self(arguments))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!(
                "`{name}` must be a whole number above 0, not `{value}`"
            )),
        }
    }

    fn method(&self) -> Result<Option<String>, String> {
        let Some(value) = self.get("method") else {
            return Ok(None);
        };
        let method = value.to_ascii_uppercase();
        match method.as_str() {
            "POST" | "PUT" | "PATCH" | "DELETE" => Ok(Some(method)),
            _ => Err(format!(
                "`method` must be POST, PUT, PATCH or DELETE, not `{value}`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "throttle:every=4",
            "server-errors:every=5",
            "lost-answers:every=1,method=POST",
            "lost-answers:every=2",
            "not-found:every=1,method=PATCH",
            "slow:ms=10",
            "down-after:7",
            "wrong-clock:minutes=90",
        ] {
            let fault: Fault = text.parse().expect(text);
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn arguments_have_defaults_and_a_short_form() {
        for (short, long) in [
            ("throttle", "throttle:every=3"),
            ("throttle:5", "throttle:every=5"),
            ("server-errors", "server-errors:every=3"),
            ("lost-answers", "lost-answers:every=2"),
            (
                "lost-answers:method=post",
                "lost-answers:every=2,method=POST",
            ),
            ("not-found", "not-found:every=2"),
            ("slow", "slow:ms=50"),
            ("wrong-clock", "wrong-clock:minutes=60"),
        ] {
            let fault: Fault = short.parse().expect(short);
            assert_eq!(fault.to_string(), long);
        }
    }

    #[test]
    fn errors_say_what_there_is() {
        let problems = [
            "throtle",
            "nothing",
            "throttle:each=3",
            "throttle:0",
            "down-after",
            "slow:ms=x",
            "lost-answers:method=GET",
        ]
        .map(|text| text.parse::<Fault>().expect_err(text).to_string());
        insta::assert_snapshot!(problems.join("\n"));
    }

    #[test]
    fn the_help_covers_every_fault() {
        for help in Fault::all() {
            let text = match help.name {
                "down-after" => "down-after:1",
                name => name,
            };
            let fault: Fault = text.parse().expect(text);
            assert!(fault.to_string().starts_with(help.name));
            assert!(help.usage.starts_with(help.name));
        }
    }
}
