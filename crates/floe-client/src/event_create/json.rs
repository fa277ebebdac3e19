//! Events as JSON, written into the body of a call at once: it is most of what the client adds to
//! the call, and serde looks at each byte of a text by itself.

use std::io::Write as _;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{EventCreate, EventCustomer};
use crate::error::{Error, Result};
use crate::metadata::{Metadata, MetadataValue};

/// Bytes that an event likely takes: with room for so many, bodies seldom move while they grow.
const EVENT_BYTES: usize = 256;

/// The body of a call that ingests events, each with an external id. The events that have none get
/// a random one: a random number for the call, and the event's position in it.
pub(crate) fn body(events: &[EventCreate]) -> Result<Vec<u8>> {
    let out = events_member(events);
    out.map_err(|error| Error::Serialize(error.into()))
}

fn events_member(events: &[EventCreate]) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(events.len() * EVENT_BYTES);
    out.extend_from_slice(b"{\"events\":[");
    let mut call = None;
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if event.has_external_id() {
            event.write(None, &mut out)?;
        } else {
            let call = call.get_or_insert_with(|| Uuid::new_v4().simple().to_string());
            event.write(Some(&format!("{call}-{index}")), &mut out)?;
        }
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

impl EventCreate {
    /// As the wire has it.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(EVENT_BYTES);
        self.write(None, &mut out)?;
        Ok(out)
    }

    /// Writes it, with this external id if it has none.
    fn write(&self, external_id: Option<&str>, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(b"{\"name\":");
        write_text(&self.name, out)?;
        match &self.customer {
            EventCustomer::Id { customer_id, member_id } => {
                write_id("customer_id", Some(*customer_id), out);
                write_id("member_id", *member_id, out);
            }
            EventCustomer::External { external_customer_id, external_member_id } => {
                write_member("external_customer_id", Some(external_customer_id), out)?;
                write_member("external_member_id", external_member_id.as_deref(), out)?;
            }
        }
        if let Some(timestamp) = self.timestamp {
            write_key("timestamp", out);
            out.push(b'"');
            timestamp.write(out);
            out.push(b'"');
        }
        write_member("external_id", self.external_id.as_deref().or(external_id), out)?;
        write_member("parent_id", self.parent_id.as_deref(), out)?;
        if !self.metadata.is_empty() {
            write_key("metadata", out);
            write_metadata(&self.metadata, out)?;
        }
        write_id("organization_id", self.organization_id, out);
        out.push(b'}');
        Ok(())
    }
}

/// It is written as JSON; other formats of serde have no way to keep a large number's digits.
impl Serialize for EventCreate {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let json = self.to_json().map_err(S::Error::custom)?;
        let json = String::from_utf8(json).map_err(S::Error::custom)?;
        RawValue::from_string(json).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Writes the key of a member behind others. It has nothing to escape.
fn write_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_member(key: &str, text: Option<&str>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let Some(text) = text else { return Ok(()) };
    write_key(key, out);
    write_text(text, out)
}

fn write_id(key: &str, id: Option<Uuid>, out: &mut Vec<u8>) {
    let Some(id) = id else { return };
    write_key(key, out);
    // A vector takes what is written.
    let _ = write!(out, "\"{id}\"");
}

fn write_metadata(metadata: &Metadata, out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.push(b'{');
    for (index, (key, value)) in metadata.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out)?;
        out.push(b':');
        match value {
            MetadataValue::String(text) => write_text(text, out)?,
            other => serde_json::to_writer(&mut *out, other)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    // All bytes are looked at, whatever the first ones are: so many at a time can be.
    let is_plain = |byte: u8| (byte >= 0x20) & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |so_far, byte| so_far & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        Ok(())
    } else {
        serde_json::to_writer(out, text)
    }
}
