//! `driftq dlq workbench`: read, compare, edit, redrive and discard dead letters on one screen.
//!
//! Promise: a key that changes something at the server is asked about first. The screen shows what
//! the server said last; what somebody else closed meanwhile is told, not shown as open for ever.
//! The terminal is given back as it was, whatever happens.

mod desk;
mod view;

use std::time::Duration;

use driftq_client::{
    ClientError,
    api::{DeadLetterDetail, DeadLetterQuery, DiscardRequest, RedriveRequest},
};
use ratatui::crossterm::event;

use self::desk::{Act, Desk};
use super::{dlq_redrive, screen::Screen};
use crate::{Context, Outcome, args::DlqWorkbenchArgs, error::CliError};

/// How many dead letters are on the desk; a filter finds the others.
const LETTERS_MAX: u32 = 200;

/// How long a key is waited for before the screen is drawn anew.
const TICK: Duration = Duration::from_millis(250);

pub(super) async fn run(args: DlqWorkbenchArgs, context: &Context) -> Result<Outcome, CliError> {
    if context.output.is_json() || !context.output.is_terminal() {
        return Err(CliError::Usage(
            "the workbench needs a terminal; without one there are `dlq list`, `show`, `redrive`".to_owned(),
        ));
    }
    let query = DeadLetterQuery { q: args.query, limit: Some(LETTERS_MAX), ..args.filter.query() };
    let mut desk = Desk::default();
    desk.lay_out(context.client.dead_letters(&query).await?.items);
    let mut screen = Screen::open()?;
    loop {
        if let Some(id) = desk.unread() {
            let letter = context.client.dead_letter(&id).await;
            desk.read(&id, letter);
        }
        screen.draw(|frame| view::draw(frame, &desk))?;
        if !event::poll(TICK).map_err(CliError::Output)? {
            continue;
        }
        let event::Event::Key(key) = event::read().map_err(CliError::Output)? else { continue };
        match desk.press(key) {
            None => {}
            Some(Act::Leave) => return Ok(Outcome::Good),
            Some(Act::Refresh) => {
                let letters = context.client.dead_letters(&query).await.map(|page| page.items);
                desk.told_list(letters);
            }
            Some(Act::Edit(id)) => {
                // The editor has the terminal meanwhile.
                screen.lend()?;
                let answer = dlq_redrive::edited(&id, &RedriveRequest::default(), context).await;
                screen.take_back()?;
                match answer {
                    Ok(Some(answer)) => desk.closed(&id, answer.map(|answer| told(&answer))),
                    Ok(None) => desk.say(format!("{id}: nothing was changed, so it was not redriven")),
                    Err(error) => desk.say(error.to_string()),
                }
            }
            Some(Act::Redrive(id)) => {
                let answer = context.client.redrive(&id, &RedriveRequest::default()).await;
                desk.closed(&id, answer.map(|answer| told(&answer)));
            }
            Some(Act::Discard(id)) => {
                let answer = context.client.discard(&id, &DiscardRequest::default()).await;
                desk.closed(&id, answer.map(|answer| answer.status));
            }
        }
    }
}

fn told(answer: &driftq_client::api::RedriveResponse) -> String {
    let (status, what) = dlq_redrive::told(answer);
    format!("{status} {what}")
}

/// A dead letter as it was read, or why it could not be.
type Read = Result<DeadLetterDetail, ClientError>;
