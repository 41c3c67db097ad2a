//! Starts the server from the command line and tells, in one line of JSON, where it listens.

use std::process::ExitCode;

use shearwater_server::{Options, OptionsError, Server, USAGE};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(options) => options,
        Err(OptionsError::HelpAsked) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("shearwater-server: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shearwater-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let db = options.db.clone();
    let server = Server::start(options).await?;
    let (listen, control) = (server.listen_url(), server.control_url());
    // URLs of addresses and a hexadecimal token have nothing in them that JSON would escape.
    println!(r#"{{"listen":"{listen}","control":"{control}","controlToken":"{}"}}"#, server.control_token());
    eprintln!("shearwater-server: app and API at {listen}, control at {control}, database {}", db.display());
    tokio::select! {
        () = server.stopped() => {}
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.stop().await;
    Ok(())
}
