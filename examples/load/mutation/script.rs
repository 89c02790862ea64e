//! Makes a script for pgbench from recorded mutations: the same statements in the same order, every parameter a
//! variable.
//!
//! What a parameter is, is told by comparing recordings of different organizations: the organization, the account, the
//! revision that the head's lock has given or the next, an id that the server made, a number like an instant or a tag,
//! or a text in which these stand. Texts come from a table, a row for each client and organization, that a client looks
//! into once in [`VISIT`] pairs of mutations.

use std::collections::HashMap;
use std::fmt::Write;

use uuid::Uuid;

use super::VISIT;
use super::statement::{Statement, common};

/// The statement whose answer tells the revision: it takes the lock.
const HEAD_LOCK: &str = "select revision, tag, counters from heads";
/// What the ids that a client makes are filled up with, one for each that a pair of mutations makes.
const FILLS: &[u8] = b"123456789abcdef";

/// Two mutations of one organization, the second of which undoes the first, as they were recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Whose.
    pub organization: String,
    /// Whom they give a role and take it from.
    pub account: String,
    /// The statements of each.
    pub mutations: [Recorded; 2],
}

/// One mutation, recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The revision of the organization before it.
    pub revision: i64,
    /// In the order in which they began.
    pub statements: Vec<Statement>,
}

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Script {
    /// The commands.
    pub text: String,
    /// How many statements each of the two mutations has.
    pub statements: [usize; 2],
    /// The texts, as they are in the first recording.
    texts: Vec<String>,
    /// The organization and the account of that recording.
    recorded_of: (String, String),
}

/// What stands for a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Slot {
    Null,
    Organization,
    Account,
    Revision,
    NextRevision,
    /// An id that was made, by number.
    Made(usize),
    Number,
    /// One of the texts, by number.
    Text(usize),
}

impl Script {
    /// Makes the script for `organizations`.
    ///
    /// # Errors
    /// If the recordings are not of the same statements, or a parameter cannot be told.
    pub fn make(recordings: &mut [Recording], organizations: usize) -> Result<Self, String> {
        for half in 0..2 {
            let mut statements: Vec<_> =
                recordings.iter_mut().map(|it| std::mem::take(&mut it.mutations[half].statements)).collect();
            common(&mut statements)?;
            for (recording, statements) in recordings.iter_mut().zip(statements) {
                recording.mutations[half].statements = statements;
            }
        }
        let made: Vec<_> = recordings.iter().map(made).collect();
        let mut teller = Teller { recordings, made, texts: Vec::new() };
        let mut body = String::new();
        for half in 0..2 {
            teller.write(half, &mut body)?;
        }
        let (texts, first) = (teller.texts, recordings.first().ok_or("nothing was recorded")?);
        let head = format!(
            "\\if :pair % {VISIT} = 0\n\
             \\set number random(0, {})\n\
             select * from replay_targets where number = :number and client = :client_id \\gset\n\
             \\endif\n\
             \\set pair :pair + 1\n\
             \\set made :pair * 1000 + :client_id\n\
             \\set drawn random(1, 9223372036854775807)\n",
            organizations - 1,
        );
        Ok(Self {
            text: head + &body,
            statements: [0, 1].map(|half| first.mutations[half].statements.len()),
            texts,
            recorded_of: (first.organization.clone(), first.account.clone()),
        })
    }

    /// Writes the SQL that makes the table which clients look into. `targets` are an organization's id and the ids of
    /// its accounts, of which each client takes another.
    pub fn table(&self, targets: &[(&str, Vec<&str>)]) -> String {
        let columns = (0..self.texts.len())
            .fold(String::new(), |columns, number| columns + ", text_" + &number.to_string() + " text not null");
        let mut sql = format!(
            "create table replay_targets (number bigint, client bigint, organization text not null, \
             account text not null{columns}, primary key (number, client));\n"
        );
        for (number, (organization, accounts)) in targets.iter().enumerate() {
            for (client, account) in accounts.iter().enumerate() {
                let ids = [*organization, *account].map(literal).join(", ");
                let texts = self.texts.iter().map(|text| {
                    let text = text.replace(&self.recorded_of.0, organization).replace(&self.recorded_of.1, account);
                    format!(", {}", literal(&text))
                });
                let texts: String = texts.collect();
                let _ = writeln!(sql, "insert into replay_targets values ({number}, {client}, {ids}{texts});");
            }
        }
        sql + "analyze replay_targets;\n"
    }
}

/// Numbers the ids that are in one recording and that nobody knew before, in the order in which they come.
fn made(recording: &Recording) -> HashMap<&str, usize> {
    let mut made = HashMap::new();
    let statements = recording.mutations.iter().flat_map(|mutation| &mutation.statements);
    for value in statements.flat_map(|statement| &statement.values).flatten() {
        let is_known = *value == recording.organization || *value == recording.account;
        if Uuid::try_parse(value).is_ok() && !is_known {
            let next = made.len();
            made.entry(value.as_str()).or_insert(next);
        }
    }
    made
}

/// Returns what parameters are.
struct Teller<'a> {
    recordings: &'a [Recording],
    made: Vec<HashMap<&'a str, usize>>,
    texts: Vec<String>,
}

impl Teller<'_> {
    /// Writes the commands of one of the two mutations.
    fn write(&mut self, half: usize, script: &mut String) -> Result<(), String> {
        let recorded = self.recordings;
        let mut locks = 0;
        for (at, statement) in recorded[0].mutations[half].statements.iter().enumerate() {
            let slots = (0..statement.values.len()).map(|parameter| self.tell(half, at, parameter));
            let slots = slots.collect::<Result<Vec<_>, _>>()?;
            script.push_str(&fill(&statement.text, &slots)?);
            if statement.text.starts_with(HEAD_LOCK) {
                script.push_str(" \\gset\n\\set next :revision + 1\n");
                locks += 1;
            } else {
                script.push_str(";\n");
            }
        }
        if locks == 1 { Ok(()) } else { Err(format!("a mutation takes the lock of its log {locks} times")) }
    }

    fn tell(&mut self, half: usize, at: usize, parameter: usize) -> Result<Slot, String> {
        let values = self.recordings.iter().map(|it| it.mutations[half].statements[at].values[parameter].as_deref());
        let values: Vec<Option<&str>> = values.collect();
        let Some(values) = values.iter().copied().collect::<Option<Vec<&str>>>() else {
            return if values.iter().all(Option::is_none) {
                Ok(Slot::Null)
            } else {
                Err(self.unknown(half, at, parameter))
            };
        };
        let all = |is: &dyn Fn(&Recording, &str) -> bool| {
            self.recordings.iter().zip(&values).all(|(recording, value)| is(recording, value))
        };
        let revision = |recording: &Recording| recording.mutations[half].revision;
        if values.iter().all(|value| *value == values[0]) {
            Ok(self.text(values[0]))
        } else if all(&|it, value| value == it.organization) {
            Ok(Slot::Organization)
        } else if all(&|it, value| value == it.account) {
            Ok(Slot::Account)
        } else if all(&|it, value| value.parse() == Ok(revision(it))) {
            Ok(Slot::Revision)
        } else if all(&|it, value| value.parse() == Ok(revision(it) + 1)) {
            Ok(Slot::NextRevision)
        } else if all(&|_, value| value.parse::<i64>().is_ok()) {
            Ok(Slot::Number)
        } else if let Some(number) = self.made_as(&values) {
            Ok(Slot::Made(number))
        } else if self.are_alike(&values) {
            Ok(self.text(values[0]))
        } else {
            Err(self.unknown(half, at, parameter))
        }
    }

    fn unknown(&self, half: usize, at: usize, parameter: usize) -> String {
        let statement = &self.recordings[0].mutations[half].statements[at];
        format!("it cannot be told what ${} of {:?} is", parameter + 1, statement.text)
    }

    /// Returns the number of a made id that the values are in all recordings.
    fn made_as(&self, values: &[&str]) -> Option<usize> {
        let mut numbers = self.made.iter().zip(values).map(|(made, value)| made.get(value).copied());
        let first = numbers.next()??;
        numbers.all(|number| number == Some(first)).then_some(first)
    }

    /// Returns whether texts differ only by the ids in them.
    fn are_alike(&self, values: &[&str]) -> bool {
        let plain = |((recording, made), text): ((&Recording, &HashMap<&str, usize>), &&str)| {
            let text = text.replace(&recording.organization, "organization").replace(&recording.account, "account");
            made.iter().fold(text, |text, (id, number)| text.replace(id, &format!("made {number}")))
        };
        let texts: Vec<String> = self.recordings.iter().zip(&self.made).zip(values).map(plain).collect();
        texts.iter().all(|text| *text == texts[0])
    }

    fn text(&mut self, text: &str) -> Slot {
        let number = self.texts.iter().position(|known| known == text).unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        Slot::Text(number)
    }
}

/// Puts variables in the place of `$1` and so on.
fn fill(text: &str, slots: &[Slot]) -> Result<String, String> {
    let (mut filled, mut parts) = (String::new(), text.split('$'));
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: usize = part[..digits].parse().map_err(|_| format!("a parameter without a number: {text}"))?;
        let slot = slots.get(number - 1).ok_or_else(|| format!("${number} has no value: {text}"))?;
        let value = match slot {
            Slot::Null => "null".to_owned(),
            Slot::Organization => ":organization".to_owned(),
            Slot::Account => ":account".to_owned(),
            Slot::Revision => ":revision".to_owned(),
            Slot::NextRevision => ":next".to_owned(),
            Slot::Number => ":drawn".to_owned(),
            Slot::Text(number) => format!(":text_{number}"),
            Slot::Made(number) => {
                let fill = *FILLS.get(*number).ok_or("a pair of mutations makes too many ids")?;
                format!("lpad(:made, 32, '{}')::uuid", char::from(fill))
            }
        };
        filled.push_str(&value);
        filled.push_str(&part[digits..]);
    }
    Ok(filled)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
