//! Distinct texts and their codes.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::bytes::{Bytes, put_u32, put_u64};
use super::position;

/// Texts by code, end to end.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// The text of a code.
    pub(super) fn get(&self, code: usize) -> &str {
        let start = code.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[code]]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|code| self.get(code))
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.text.len() + size_of_val(self.ends.as_slice())
    }

    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u32(position(self.len()), out);
        self.ends.iter().for_each(|&end| put_u64(end as u64, out));
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &mut Bytes<'_>) -> Option<Self> {
        let count = bytes.count()?;
        let (ends, _) = bytes.take(count.checked_mul(8)?)?.as_chunks::<8>();
        let ends = ends.iter().map(|end| usize::try_from(u64::from_le_bytes(*end)).ok());
        let ends = ends.collect::<Option<Vec<usize>>>()?;
        let text = str::from_utf8(bytes.take(ends.last().copied().unwrap_or(0))?).ok()?;
        let is_right = ends.is_sorted() && ends.iter().all(|&end| text.is_char_boundary(end));
        is_right.then(|| Self { text: text.to_owned(), ends })
    }
}

/// Gives texts codes, from 0 on, in the order in which they first come.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct TextCodes {
    texts: Texts,
    codes: HashTable<u32>,
    /// Seeded at random: nobody can choose texts that collide.
    hasher: DefaultHashBuilder,
}

impl TextCodes {
    pub(super) fn code(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let texts = &mut self.texts;
        if let Some(&code) = self.codes.find(hash, |&code| texts.get(code as usize) == text) {
            return code;
        }
        let code = position(texts.len());
        texts.push(text);
        let hasher = &self.hasher;
        self.codes.insert_unique(hash, code, |&code| hasher.hash_one(texts.get(code as usize)));
        code
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn into_texts(self) -> Texts {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_have_one_code_each(all in prop::collection::vec("[ab]{0,3}|\\PC{0,4}", 0..60)) {
            let mut codes = TextCodes::default();
            let of: Vec<u32> = all.iter().map(|text| codes.code(text)).collect();
            let texts = codes.into_texts();
            let mut distinct = all.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(texts.len(), distinct.len());
            let mut bytes = Vec::new();
            texts.encode(&mut bytes);
            let mut rest = Bytes(&bytes);
            let again = Texts::decode(&mut rest).unwrap();
            prop_assert!(rest.is_empty());
            for (text, code) in all.iter().zip(of) {
                prop_assert_eq!(texts.get(code as usize), text);
                prop_assert_eq!(again.get(code as usize), text);
            }
        }

        #[test]
        fn damaged_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Texts::decode(&mut Bytes(&bytes));
        }
    }
}
