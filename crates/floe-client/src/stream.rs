//! All items of a list, page by page.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::Result;
use crate::page::Page;
use crate::wire::Parameters;

type NextPage<T> = Pin<Box<dyn Future<Output = Result<Page<T>>> + Send>>;

/// All items of a list from its page on, in its order. One page at a time is in memory, and the
/// next one is asked for when that is used up. It ends with the list, or after an error.
///
/// It is a [`Stream`], and without one's adapters [`next`](Self::next) will
/// do. Items that are made or deleted meanwhile shift the pages: then an item may come twice or be
/// left out, as with pages asked for by hand. It does not if new items sort last.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{Items, Meter, MetersList};
///
/// let mut meters: Items<Meter> = client.meters().list_all(&MetersList::new());
/// while let Some(meter) = meters.next().await {
///     assert_eq!(meter?.name, "Tokens");
/// }
/// # Ok(())
/// # });
/// ```
pub struct Items<T> {
    client: Client,
    path: &'static [&'static str],
    parameters: Parameters,
    /// The page to be asked for; `None` after the last.
    page: Option<u64>,
    items: IntoIter<T>,
    pending: Option<NextPage<T>>,
}

/// Nothing in it is pinned: the items are moved out, and the page asked for is boxed.
impl<T> Unpin for Items<T> {}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("path", &self.path)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned + Send + 'static> Items<T> {
    pub(crate) fn new(
        client: &Client,
        path: &'static [&'static str],
        parameters: &Parameters,
        sorting: Option<&'static str>,
    ) -> Self {
        let mut parameters = parameters.clone();
        if let Some(sorting) = sorting.filter(|_| !parameters.has("sorting")) {
            parameters.add("sorting", sorting);
        }
        let page = parameters.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        Self {
            client: client.clone(),
            path,
            parameters,
            page: Some(page),
            items: Vec::new().into_iter(),
            pending: None,
        }
    }

    /// The next item; `None` at the end. To drop the future loses no item.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let mut events = client.events().list_all(&EventsList::new().limit(1));
    /// let mut count = 0;
    /// while let Some(event) = events.next().await {
    ///     event?;
    ///     count += 1;
    /// }
    /// assert_eq!(count, 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the list; after one comes `None`.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T: DeserializeOwned + Send + 'static> Stream for Items<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(page) = this.page else { return Poll::Ready(None) };
            let (client, path) = (&this.client, this.path);
            let parameters = &mut this.parameters;
            let pending = this.pending.get_or_insert_with(|| {
                parameters.set("page", page);
                let (client, parameters) = (client.clone(), parameters.clone());
                Box::pin(async move { client.list(path, &parameters, None).await })
            });
            let found = ready!(pending.as_mut().poll(context));
            this.pending = None;
            match found {
                Ok(found) => {
                    this.page = (page < found.pagination.max_page).then_some(page + 1);
                    this.items = found.items.into_iter();
                }
                Err(error) => {
                    this.page = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let known = self.items.len();
        (known, self.page.is_none().then_some(known))
    }
}
