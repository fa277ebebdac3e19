//! TEMPORARY, replaced by the helper's module.
use std::collections::HashMap;
use std::sync::Mutex;

use floe_core::{OrganizationId, Sequence};

#[derive(Debug, thiserror::Error)]
#[error("dedup")]
pub(super) struct DedupError;

#[derive(Debug, Default)]
pub(super) struct DedupIndex(Mutex<HashMap<(OrganizationId, String), Vec<Sequence>>>);
pub(super) struct Run(Vec<(OrganizationId, String, Sequence)>);
impl Run {
    pub(super) fn add(&mut self, o: OrganizationId, e: &str, s: Sequence) {
        self.0.push((o, e.to_owned(), s));
    }
}
impl DedupIndex {
    pub(super) fn candidates(
        &self,
        o: OrganizationId,
        e: &str,
    ) -> crate::port::Result<Vec<Sequence>> {
        Ok(self.0.lock().unwrap().get(&(o, e.to_owned())).cloned().unwrap_or_default())
    }
    pub(super) fn begin_run(&self, _s: Sequence, _e: Sequence) -> Run {
        Run(Vec::new())
    }
    pub(super) fn add_run(&self, run: Run) -> Result<(), DedupError> {
        let mut m = self.0.lock().unwrap();
        for (o, e, s) in run.0 {
            m.entry((o, e)).or_default().push(s);
        }
        Ok(())
    }
    pub(super) fn merge_some(&self) -> Result<(), DedupError> {
        Ok(())
    }
}
