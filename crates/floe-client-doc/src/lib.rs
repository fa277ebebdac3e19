//! Servers for the examples in the documentation of `floe-client`: each example has one of its own,
//! in its own process, on an empty data folder.
//!
//! The examples call this in lines that readers do not see. Whatever goes wrong panics, as it must
//! in a test.

mod sample;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use floe_client::{Client, Meter, Retries, Timestamp};
use floe_server::{ConfigFile, Server};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use {flate2, futures_util, tempfile, zstd};

pub use sample::{ada, customer_meter, events, meter, new_token};

/// What an example comes to.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const ROOT_TOKEN: &str = "floe_root_of_the_examples_and_of_nobody_else";
/// Time for an example: one that waits for what never comes must fail.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Set in the process that [`run_with_environment`] starts.
const IS_STARTED: &str = "FLOE_CLIENT_DOC_IS_STARTED";

/// An example that is being run. Boxed, so that what runs it is compiled once and not for each.
type Running = Pin<Box<dyn Future<Output = Outcome>>>;

/// Runs an example with a client that has the token of an organization.
///
/// # Panics
///
/// If the example fails, or the server does not start.
pub fn run(example: impl AsyncFnOnce(Client) -> Outcome + 'static) {
    succeed(with_server(Box::new(|server| {
        Box::pin(async move { example(Client::new(server.url, server.token)?).await })
    })));
}

/// Runs an example with a client that has the root token.
///
/// # Panics
///
/// If the example fails, or the server does not start.
pub fn run_as_root(example: impl AsyncFnOnce(Client) -> Outcome + 'static) {
    succeed(with_server(Box::new(|server| {
        Box::pin(async move { example(Client::new(server.url, ROOT_TOKEN)?).await })
    })));
}

/// Runs an example with a client that has the token of an organization, where there is a
/// [`customer_meter`]; with its meter, and with the start and the end of March 2026.
///
/// # Panics
///
/// If the example fails, or the server does not start.
pub fn run_with_sample(
    example: impl AsyncFnOnce(Client, Meter, (Timestamp, Timestamp)) -> Outcome + 'static,
) {
    run(async |client| {
        let meter = customer_meter(&client).await?.meter;
        let march = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
        example(client, meter, march).await
    });
}

/// Runs an example whose environment names a server and the token of an organization.
///
/// The environment of a process cannot safely be changed once it has threads, so the example's own
/// is started a second time, and runs the example in the second one.
///
/// # Panics
///
/// If the example fails, or the server does not start.
pub fn run_with_environment(example: impl AsyncFnOnce() -> Outcome + 'static) {
    if std::env::var_os(IS_STARTED).is_some() {
        return succeed(block_on(Box::pin(async move { example().await })));
    }
    succeed(with_server(Box::new(|server| {
        Box::pin(async move {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(std::env::args_os().skip(1))
                .env("FLOE_URL", server.url)
                .env("FLOE_TOKEN", server.token)
                .env(IS_STARTED, "1");
            let status = tokio::task::block_in_place(|| command.status())?;
            if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
        })
    })));
}

/// A client of a server that is not there.
///
/// # Errors
///
/// The system's, if it has no free port.
pub fn nowhere() -> Outcome<Client> {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    Ok(Client::new(format!("http://{free}"), "floe_oat_0123")?.with_retries(Retries::none()))
}

fn succeed(outcome: Outcome) {
    if let Err(error) = outcome {
        panic!("{error}: {error:?}");
    }
}

fn block_on(example: Running) -> Outcome {
    Runtime::new()?.block_on(example)
}

/// How a server is reached.
struct Access {
    url: String,
    /// Of an organization; it may do everything there.
    token: String,
}

/// Starts a server, runs an example, and stops the server.
fn with_server(example: Box<dyn FnOnce(Access) -> Running>) -> Outcome {
    block_on(Box::pin(async {
        let folder = tempfile::tempdir()?;
        let settings = ConfigFile {
            data: Some(folder.path().join("data")),
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            root_token: Some(ROOT_TOKEN.to_owned()),
            ..ConfigFile::default()
        };
        let server = Server::start(&settings.into_config()?).await?;
        let token = server.made.as_ref().and_then(|made| made.token.clone());
        let token = token.ok_or("the first start makes a token")?;
        let access = Access { url: format!("http://{}", server.address()?), token };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
        timeout(TIME_MAX, example(access)).await.map_err(|_| "it does not end")??;
        // If it has ended already, the task says how.
        let _ = stop.send(());
        server.await?;
        Ok(folder.close()?)
    }))
}
