//! A checksum in every row of the catalog, so that a change that Floe did not make is noticed.
//!
//! It is keyed by the folder's own id and key: a row that was edited by hand, or copied from
//! another folder, does not have the right one. It is no protection against somebody who wants to
//! deceive, since the key stands in the same file. Rows that were deleted leave no trace here.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher13;

/// A table whose rows have checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Folder,
    Organizations,
    AccessTokens,
    Meters,
    Customers,
    EventLabels,
}

impl Table {
    pub(super) const ALL: [Self; 6] = [
        Self::Folder,
        Self::Organizations,
        Self::AccessTokens,
        Self::Meters,
        Self::Customers,
        Self::EventLabels,
    ];

    /// Its name in SQLite.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Organizations => "organizations",
            Self::AccessTokens => "access_tokens",
            Self::Meters => "meters",
            Self::Customers => "customers",
            Self::EventLabels => "event_labels",
        }
    }

    /// The column by which people find a row.
    fn key(self) -> &'static str {
        match self {
            Self::Folder => "key",
            Self::EventLabels => "name",
            _ => "id",
        }
    }
}

/// The column of checksums.
const CHECKSUM: &str = "checksum";
/// When a token was last used: saved without a sync, and therefore not covered.
const LAST_USED_AT: &str = "last_used_at";

/// A row whose checksum is not that of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct WrongRow {
    table: Table,
    /// The column by which the row is found, and its value there.
    key: &'static str,
    value: String,
}

impl std::fmt::Display for WrongRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "table {}, row with {} = '{}'", self.table.name(), self.key, self.value)
    }
}

/// Makes and compares checksums of rows.
#[derive(Clone)]
pub(super) struct RowChecksums(SipHasher13);

impl RowChecksums {
    /// Those of a folder.
    pub(super) fn new(folder_id: &[u8; 16], id_key: &[u8; 16]) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"catalog rows")
            .chain_update(folder_id)
            .chain_update(id_key)
            .finalize()
            .into();
        Self(SipHasher13::new_with_key(&digest.first_chunk().copied().unwrap_or_default()))
    }

    /// The checksum of a row: over the table's name, and name, type and value of each column.
    fn of(&self, table: Table, row: &Row<'_>) -> rusqlite::Result<i64> {
        let mut bytes = table.name().as_bytes().to_vec();
        let columns = row.as_ref();
        for index in 0..columns.column_count() {
            let name = columns.column_name(index)?;
            if name == CHECKSUM || name == LAST_USED_AT {
                continue;
            }
            let mut put = |kind: u8, value: &[u8]| {
                bytes.push(0);
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(&[0, kind]);
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                bytes.extend_from_slice(value);
            };
            match row.get_ref(index)? {
                ValueRef::Null => put(0, &[]),
                ValueRef::Integer(value) => put(1, &value.to_le_bytes()),
                ValueRef::Real(value) => put(2, &value.to_le_bytes()),
                ValueRef::Text(value) => put(3, value),
                ValueRef::Blob(value) => put(4, value),
            }
        }
        Ok(self.0.hash(&bytes).cast_signed())
    }

    /// Runs a statement that inserts or changes at most one row, and gives that row its checksum,
    /// in one transaction. Returns the row's number.
    pub(super) fn write(
        &self,
        connection: &Connection,
        table: Table,
        statement: &str,
        parameters: impl Params,
    ) -> rusqlite::Result<Option<i64>> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let number = transaction
            .prepare_cached(&format!("{statement} RETURNING rowid"))?
            .query_row(parameters, |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            self.put(&transaction, table, number)?;
        }
        transaction.commit()?;
        Ok(number)
    }

    fn put(&self, connection: &Connection, table: Table, number: i64) -> rusqlite::Result<()> {
        let table_name = table.name();
        let checksum = connection
            .prepare_cached(&format!("SELECT * FROM {table_name} WHERE rowid = ?"))?
            .query_row([number], |row| self.of(table, row))?;
        connection
            .prepare_cached(&format!("UPDATE {table_name} SET {CHECKSUM} = ? WHERE rowid = ?"))?
            .execute([checksum, number])?;
        Ok(())
    }

    /// Gives every row its checksum.
    pub(super) fn put_all(&self, connection: &Connection) -> rusqlite::Result<()> {
        for table in Table::ALL {
            let query = format!("SELECT rowid FROM {}", table.name());
            let numbers: Vec<i64> = connection
                .prepare(&query)?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            numbers.into_iter().try_for_each(|number| self.put(connection, table, number))?;
        }
        Ok(())
    }

    /// The rows of a table whose checksum is wrong, and how many rows it has.
    pub(super) fn wrong_rows(
        &self,
        connection: &Connection,
        table: Table,
    ) -> rusqlite::Result<(Vec<WrongRow>, u64)> {
        let mut statement = connection.prepare(&format!("SELECT * FROM {}", table.name()))?;
        let mut rows = statement.query([])?;
        let (mut wrong, mut count) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            count += 1;
            if row.get::<_, Option<i64>>(CHECKSUM).ok().flatten() == Some(self.of(table, row)?) {
                continue;
            }
            let key = table.key();
            let value = match row.get_ref(key)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            };
            wrong.push(WrongRow { table, key, value });
        }
        Ok((wrong, count))
    }
}
