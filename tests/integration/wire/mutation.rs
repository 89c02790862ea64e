//! What becomes of a message when it is altered: as a tree of fields, then as bytes.
//!
//! The tree knows no contract: whatever can be read as a message is one.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// One field of a message.
#[derive(Clone, Debug)]
struct Field {
    number: u32,
    value: Value,
    /// By how many bytes the key and the number or length after it are longer than they need be.
    padding: (usize, usize),
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
    /// Its fields, and the number in the key that ends it.
    Group(Vec<Field>, u32),
    Fixed32([u8; 4]),
    /// A key whose wire type does not exist, or that ends what was not begun.
    Stray(u8),
}

/// Something done to a message.
#[derive(Clone, Debug)]
pub enum Mutation {
    Duplicate(Index, Index),
    Remove(Index, Index),
    Swap(Index, Index, Index),
    /// The same message twice, each time with a part of its fields.
    Split(Index, Index, Index),
    Insert(Index, Index, Foreign),
    Renumber(Index, Index, u32),
    Replace(Index, Index, Foreign),
    Pad(Index, Index, usize, usize),
    Flip(Index, u8),
    Truncate(Index),
    Cut(Index, usize),
    Put(Index, Vec<u8>),
}

/// A field that no message of the contract has, or has with another type.
#[derive(Clone, Debug)]
pub struct Foreign {
    number: u32,
    kind: u8,
    filling: u64,
    depth: usize,
}

fn foreign() -> impl Strategy<Value = Foreign> {
    let number = prop_oneof![3 => 1..8_u32, 1 => 1..(1_u32 << 29)];
    // Up to and past the depth at which messages are refused.
    let depth = prop_oneof![4 => 0..4_usize, 1 => 90..106_usize];
    (number, 0..8_u8, any::<u64>(), depth).prop_map(|(number, kind, filling, depth)| Foreign {
        number,
        kind,
        filling,
        depth,
    })
}

pub fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let number = prop_oneof![4 => 1..8_u32, 1 => Just(0), 1 => any::<u32>()];
    let extra = || prop_oneof![1..3_usize, 7..11_usize];
    prop_oneof![
        2 => (at(), at()).prop_map(|(list, field)| Mutation::Duplicate(list, field)),
        1 => (at(), at()).prop_map(|(list, field)| Mutation::Remove(list, field)),
        2 => (at(), at(), at()).prop_map(|(list, one, other)| Mutation::Swap(list, one, other)),
        2 => (at(), at(), at()).prop_map(|(list, field, part)| Mutation::Split(list, field, part)),
        4 => (at(), at(), foreign()).prop_map(|(list, field, it)| Mutation::Insert(list, field, it)),
        1 => (at(), at(), number).prop_map(|(list, field, number)| Mutation::Renumber(list, field, number)),
        1 => (at(), at(), foreign()).prop_map(|(list, field, it)| Mutation::Replace(list, field, it)),
        2 => (at(), at(), extra(), 0..3_usize).prop_map(|(list, field, key, value)| Mutation::Pad(list, field, key, value)),
        2 => (at(), at(), 0..3_usize, extra()).prop_map(|(list, field, key, value)| Mutation::Pad(list, field, key, value)),
        2 => (at(), 0..8_u8).prop_map(|(byte, bit)| Mutation::Flip(byte, bit)),
        1 => at().prop_map(Mutation::Truncate),
        1 => (at(), 1..4_usize).prop_map(|(byte, length)| Mutation::Cut(byte, length)),
        1 => (at(), vec(any::<u8>(), 1..6)).prop_map(|(byte, bytes)| Mutation::Put(byte, bytes)),
    ]
}

/// Alters a message.
pub fn altered(message: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut fields = parse(message).unwrap_or_default();
    for mutation in mutations {
        alter(&mut fields, mutation);
    }
    let mut bytes = Vec::new();
    write(&fields, &mut bytes);
    for mutation in mutations {
        alter_bytes(&mut bytes, mutation);
    }
    bytes
}

fn alter(fields: &mut Vec<Field>, mutation: &Mutation) {
    use Mutation::{Cut, Duplicate, Flip, Insert, Pad, Put, Remove, Renumber, Replace, Split, Swap, Truncate};
    let list = match mutation {
        Duplicate(list, ..)
        | Remove(list, ..)
        | Swap(list, ..)
        | Split(list, ..)
        | Insert(list, ..)
        | Renumber(list, ..)
        | Replace(list, ..)
        | Pad(list, ..) => list,
        Flip(..) | Truncate(_) | Cut(..) | Put(..) => return,
    };
    let list = nth(fields, &mut list.index(lists(fields))).expect("a list of that number");
    if let Insert(_, at, it) = mutation {
        let at = at.index(list.len() + 1);
        return list.insert(at, it.field());
    }
    let length = list.len();
    if length == 0 {
        return;
    }
    match mutation {
        Duplicate(_, at) => list.push(list[at.index(length)].clone()),
        Remove(_, at) => drop(list.remove(at.index(length))),
        Swap(_, one, other) => list.swap(one.index(length), other.index(length)),
        Renumber(_, at, number) => {
            let at = at.index(length);
            list[at].number = *number;
        }
        Replace(_, at, it) => {
            let at = at.index(length);
            list[at].value = it.field().value;
        }
        Pad(_, at, key, value) => {
            let at = at.index(length);
            list[at].padding = (*key, *value);
        }
        Split(_, at, part) => {
            let at = at.index(length);
            let mut rest = list[at].clone();
            let (Value::Message(first), Value::Message(second)) = (&mut list[at].value, &mut rest.value) else {
                return;
            };
            let part = part.index(first.len() + 1);
            first.truncate(part);
            second.drain(..part);
            list.push(rest);
        }
        Insert(..) | Flip(..) | Truncate(_) | Cut(..) | Put(..) => {}
    }
}

fn alter_bytes(bytes: &mut Vec<u8>, mutation: &Mutation) {
    match mutation {
        Mutation::Put(at, put) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, put.iter().copied());
        }
        _ if bytes.is_empty() => {}
        Mutation::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Mutation::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Mutation::Cut(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + length));
        }
        _ => {}
    }
}

impl Foreign {
    fn field(&self) -> Field {
        let leaf = Field { number: self.number, value: Value::Varint(self.filling), padding: (0, 0) };
        let filling = self.filling.to_le_bytes();
        let value = match self.kind {
            0 => Value::Varint(self.filling),
            1 => Value::Fixed64(filling),
            2 => Value::Bytes(filling.to_vec()),
            3 | 4 => {
                let mut group = vec![leaf];
                for _ in 0..self.depth {
                    group =
                        vec![Field { number: self.number, value: Value::Group(group, self.number), padding: (0, 0) }];
                }
                // One in eight ends with another number than it began with.
                let end = if self.filling.is_multiple_of(8) { self.number ^ 1 } else { self.number };
                Value::Group(group, end)
            }
            5 => Value::Fixed32([filling[0], filling[1], filling[2], filling[3]]),
            6 => Value::Message(vec![leaf]),
            _ => Value::Stray([4, 6, 7][usize::from(filling[0]) % 3]),
        };
        Field { number: self.number, value, padding: (0, 0) }
    }
}

/// Counts the lists of fields in a message: its own and those of all below.
fn lists(fields: &[Field]) -> usize {
    let below = |field: &Field| match &field.value {
        Value::Message(fields) | Value::Group(fields, _) => lists(fields),
        _ => 0,
    };
    1 + fields.iter().map(below).sum::<usize>()
}

fn nth<'a>(fields: &'a mut Vec<Field>, left: &mut usize) -> Option<&'a mut Vec<Field>> {
    if *left == 0 {
        return Some(fields);
    }
    *left -= 1;
    for field in fields {
        if let Value::Message(fields) | Value::Group(fields, _) = &mut field.value
            && let Some(found) = nth(fields, left)
        {
            return Some(found);
        }
    }
    None
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let content = bytes.split_off(..length)?;
                match parse(content) {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(content.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number: u32::try_from(key >> 3).ok()?, value, padding: (0, 0) });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::decode_length_delimiter(bytes).ok().map(|it| it as u64)
}

fn write(fields: &[Field], to: &mut Vec<u8>) {
    for Field { number, value, padding: (of_key, of_value) } in fields {
        let key = |wire: u8| (u64::from(*number) << 3) | u64::from(wire);
        let content = |fields: &[Field]| {
            let mut content = Vec::new();
            write(fields, &mut content);
            content
        };
        match value {
            Value::Varint(value) => {
                put(key(0), *of_key, to);
                put(*value, *of_value, to);
            }
            Value::Fixed64(value) => {
                put(key(1), *of_key, to);
                to.extend(value);
            }
            Value::Bytes(value) => {
                put(key(2), *of_key, to);
                put(value.len() as u64, *of_value, to);
                to.extend(value);
            }
            Value::Message(fields) => {
                let content = content(fields);
                put(key(2), *of_key, to);
                put(content.len() as u64, *of_value, to);
                to.extend(content);
            }
            Value::Group(fields, end) => {
                put(key(3), *of_key, to);
                to.extend(content(fields));
                put((u64::from(*end) << 3) | 4, *of_value, to);
            }
            Value::Fixed32(value) => {
                put(key(5), *of_key, to);
                to.extend(value);
            }
            Value::Stray(wire) => put(key(*wire), *of_key, to),
        }
    }
}

/// Writes a varint that is longer than it need be.
fn put(value: u64, padding: usize, to: &mut Vec<u8>) {
    let from = to.len();
    let mut value = value;
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
    for _ in 0..padding {
        *to.last_mut().expect("a byte") |= 0x80;
        to.push(0);
    }
    debug_assert!(to.len() > from);
}
