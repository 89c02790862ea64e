//! Checks as they stand in a received message; every text is borrowed from it.
//!
//! What is accepted and how it reads is as prost has it: of a field that stands there twice the last one counts, messages
//! that stand there twice are merged, unknown fields are passed over, a text that is not UTF-8 refuses the message.
//!
//! Frames and batches are read in two steps. The first finds the items and reads what stands beside them, without
//! looking into them; the second, [`Items`], reads each. **A message stands or falls as a whole**: nothing of it may count
//! before every item was read. [`Items::verify`] reads them all, for who has to know sooner than they are used.

use std::fmt;

use super::reader::{LENGTH_DELIMITED, Malformed, Reader, VARINT, key};

const TEXT_1: u64 = key(1, LENGTH_DELIMITED);
const TEXT_2: u64 = key(2, LENGTH_DELIMITED);
const TEXT_3: u64 = key(3, LENGTH_DELIMITED);
const NUMBER_1: u64 = key(1, VARINT);
const NUMBER_2: u64 = key(2, VARINT);
const NUMBER_3: u64 = key(3, VARINT);

/// A message of the client's half of `StreamChecks`.
#[derive(Clone, Debug)]
pub enum StreamFrame<'a> {
    /// A frame of checks.
    Check(CheckFrameView<'a>),
    /// Any other frame, none at all, or several in one message: for the generated code to read, or to refuse.
    Other,
}

/// `guildhall.v1.CheckFrame`.
#[derive(Clone, Debug)]
pub struct CheckFrameView<'a> {
    /// The client's name for the frame; zero if it gives none.
    pub frame_id: u64,
    /// Empty if not given.
    pub organization_id: &'a str,
    /// How fresh the answers must be.
    pub consistency: Option<ConsistencyView<'a>>,
    /// What is asked, in order.
    pub items: Items<'a>,
}

/// `guildhall.v1.BatchCheckRequest`.
#[derive(Clone, Debug)]
pub struct BatchView<'a> {
    /// Empty if not given.
    pub organization_id: &'a str,
    /// How fresh the answers must be.
    pub consistency: Option<ConsistencyView<'a>>,
    /// What is asked, in order.
    pub items: Items<'a>,
}

/// `guildhall.v1.CheckRequest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CheckView<'a> {
    /// Empty if not given.
    pub organization_id: &'a str,
    /// What is asked; must be given, which is for the caller to see.
    pub item: Option<ItemView<'a>>,
    /// How fresh the answer must be.
    pub consistency: Option<ConsistencyView<'a>>,
}

/// `guildhall.v1.CheckItem`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ItemView<'a> {
    /// Whom it is about.
    pub subject: SubjectView<'a>,
    /// Empty if not given.
    pub permission: &'a str,
    /// The target; without one, the organization.
    pub resource: Option<ResourceView<'a>>,
}

/// `guildhall.v1.Subject`; the ids are not looked at. A token is not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum SubjectView<'a> {
    /// The field is not there, or empty, or of a kind that came after this version.
    #[default]
    None,
    /// The id of a user.
    User(&'a str),
    /// The id of a service account.
    ServiceAccount(&'a str),
    /// An end user's access token.
    AccessToken(&'a str),
}

impl fmt::Debug for SubjectView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::User(id) => f.debug_tuple("User").field(id).finish(),
            Self::ServiceAccount(id) => f.debug_tuple("ServiceAccount").field(id).finish(),
            Self::AccessToken(_) => f.write_str("AccessToken"),
        }
    }
}

/// `guildhall.v1.ResourceRef`; neither is looked at, and each is empty if not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceView<'a> {
    /// The resource's type.
    pub kind: &'a str,
    /// The product's own id of it.
    pub id: &'a str,
}

/// `guildhall.v1.Consistency`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConsistencyView<'a> {
    /// The message is there and says nothing.
    #[default]
    Unspecified,
    /// At most so old, as a `google.protobuf.Duration`, whose ranges are not looked at.
    MaxAge {
        /// Whole seconds.
        seconds: i64,
        /// The rest.
        nanos: i32,
    },
    /// A revision token.
    AtLeast(&'a str),
    /// The newest there is, if true.
    Fresh(bool),
}

/// Reads a message of the client's half of `StreamChecks`; the items are not read yet.
///
/// # Errors
/// If it is no such message. What is [`StreamFrame::Other`] may still be none.
pub fn stream_frame(message: &[u8]) -> Result<StreamFrame<'_>, Malformed> {
    let mut reader = Reader::new(message);
    let mut frame = None;
    while !reader.is_at_end() {
        match reader.varint()? {
            // Two frames of checks would have to be merged; and what is wrong with a field up to 4 is told by prost.
            TEXT_1 if frame.is_none() => frame = Some(reader.message()?),
            key if key >> 3 <= 4 => return Ok(StreamFrame::Other),
            key => reader.unknown(key, 0)?,
        }
    }
    let Some(frame) = frame else { return Ok(StreamFrame::Other) };
    let (frame_id, batch) = outline::<2>(frame)?;
    let BatchView { organization_id, consistency, items } = batch;
    Ok(StreamFrame::Check(CheckFrameView { frame_id, organization_id, consistency, items }))
}

/// Reads a `BatchCheckRequest`; the items are not read yet.
///
/// # Errors
/// If it is no such message.
pub fn batch(message: &[u8]) -> Result<BatchView<'_>, Malformed> {
    outline::<1>(Reader::new(message)).map(|(_, batch)| batch)
}

/// Reads a `CheckRequest`.
///
/// # Errors
/// If it is no such message.
pub fn check(message: &[u8]) -> Result<CheckView<'_>, Malformed> {
    let mut reader = Reader::new(message).with_text();
    let mut view = CheckView::default();
    while !reader.is_at_end() {
        match reader.varint()? {
            TEXT_1 => view.organization_id = reader.text()?,
            TEXT_2 => merge_item(reader.message()?, view.item.get_or_insert_default())?,
            TEXT_3 => merge_consistency(reader.message()?, view.consistency.get_or_insert_default())?,
            key => reader.unknown(key, 3)?,
        }
    }
    Ok(view)
}

/// Reads what stands beside the items, and finds where they begin and end.
///
/// The organization is field `FIRST`, the items come next and then the consistency. Field 1, if it stands before the
/// organization, is a frame's id.
#[inline]
fn outline<const FIRST: u32>(mut reader: Reader<'_>) -> Result<(u64, BatchView<'_>), Malformed> {
    let (organization_key, items_key, consistency_key) =
        (key(FIRST, LENGTH_DELIMITED), key(FIRST + 1, LENGTH_DELIMITED), key(FIRST + 2, LENGTH_DELIMITED));
    let (mut frame_id, mut organization_id, mut consistency) = (0, "", None);
    let (mut from, mut to, mut left) = (reader.at(), reader.at(), 0);
    while !reader.is_at_end() {
        let before = reader.at();
        match reader.varint()? {
            key if key == items_key => {
                reader.pass_over()?;
                if left == 0 {
                    from = before;
                }
                to = reader.at();
                left += 1;
            }
            key if key == organization_key => organization_id = reader.text()?,
            key if key == consistency_key => {
                merge_consistency(reader.message()?, consistency.get_or_insert_default())?;
            }
            NUMBER_1 if FIRST > 1 => frame_id = reader.varint()?,
            key => reader.unknown(key, FIRST + 2)?,
        }
    }
    let items = Items { reader: reader.between(from, to).with_text(), key: items_key, left };
    Ok((frame_id, BatchView { organization_id, consistency, items }))
}

/// The items of a frame or a batch, read one by one; nothing comes after one that cannot be read.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    /// From the first item to the end of the last; what else stands between was read before.
    reader: Reader<'a>,
    key: u64,
    left: usize,
}

impl Items<'_> {
    /// Reads all that are left, and leaves them to be read again.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn verify(&self) -> Result<(), Malformed> {
        self.clone().try_for_each(|item| item.map(drop))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<ItemView<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = read_next(&mut self.reader, self.key);
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl std::iter::FusedIterator for Items<'_> {}

#[inline]
fn read_next<'a>(reader: &mut Reader<'a>, items_key: u64) -> Result<ItemView<'a>, Malformed> {
    loop {
        let key = reader.varint()?;
        if key == items_key {
            let mut item = ItemView::default();
            merge_item(reader.message()?, &mut item)?;
            return Ok(item);
        }
        reader.any(key)?;
    }
}

#[inline]
fn merge_item<'a>(mut reader: Reader<'a>, item: &mut ItemView<'a>) -> Result<(), Malformed> {
    while !reader.is_at_end() {
        match reader.varint()? {
            TEXT_1 => merge_subject(reader.message()?, &mut item.subject)?,
            TEXT_2 => item.permission = reader.text()?,
            TEXT_3 => merge_resource(reader.message()?, item.resource.get_or_insert_default())?,
            key => reader.unknown(key, 3)?,
        }
    }
    Ok(())
}

#[inline]
fn merge_subject<'a>(mut reader: Reader<'a>, subject: &mut SubjectView<'a>) -> Result<(), Malformed> {
    while !reader.is_at_end() {
        match reader.varint()? {
            TEXT_1 => *subject = SubjectView::User(reader.text()?),
            TEXT_2 => *subject = SubjectView::ServiceAccount(reader.text()?),
            TEXT_3 => *subject = SubjectView::AccessToken(reader.text()?),
            key => reader.unknown(key, 3)?,
        }
    }
    Ok(())
}

#[inline]
fn merge_resource<'a>(mut reader: Reader<'a>, resource: &mut ResourceView<'a>) -> Result<(), Malformed> {
    while !reader.is_at_end() {
        match reader.varint()? {
            TEXT_1 => resource.kind = reader.text()?,
            TEXT_2 => resource.id = reader.text()?,
            key => reader.unknown(key, 2)?,
        }
    }
    Ok(())
}

fn merge_consistency<'a>(mut reader: Reader<'a>, consistency: &mut ConsistencyView<'a>) -> Result<(), Malformed> {
    while !reader.is_at_end() {
        match reader.varint()? {
            TEXT_1 => {
                let (seconds, nanos) = match *consistency {
                    ConsistencyView::MaxAge { seconds, nanos } => (seconds, nanos),
                    _ => (0, 0),
                };
                let (seconds, nanos) = merge_duration(reader.message()?, seconds, nanos)?;
                *consistency = ConsistencyView::MaxAge { seconds, nanos };
            }
            TEXT_2 => *consistency = ConsistencyView::AtLeast(reader.text()?),
            NUMBER_3 => *consistency = ConsistencyView::Fresh(reader.varint()? != 0),
            key => reader.unknown(key, 3)?,
        }
    }
    Ok(())
}

fn merge_duration(mut reader: Reader<'_>, mut seconds: i64, mut nanos: i32) -> Result<(i64, i32), Malformed> {
    while !reader.is_at_end() {
        match reader.varint()? {
            NUMBER_1 => seconds = reader.varint()?.cast_signed(),
            // A number of 32 bits is what the lower half of the varint says.
            NUMBER_2 => nanos = low_half(reader.varint()?).cast_signed(),
            key => reader.unknown(key, 2)?,
        }
    }
    Ok((seconds, nanos))
}

fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}
