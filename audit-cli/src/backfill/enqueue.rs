//! Sends the log files to the function's own queue.

use std::io::{Write, stdout};

use anyhow::Result;
use audit_core::pipeline::backfill::{Lister, Message, Met, Packer, Sender};
use audit_core::tally::Deliveries;

use super::source::Plan;
use super::state::State;
use super::stop::Stop;
use super::survey;
use super::watch::Watch;
use super::{Args, Ended, queue};
use crate::complain;
use crate::work::Work;

/// Sends what is planned.
pub(super) async fn run(args: &Args, work: &Work, plan: &Plan) -> Result<Ended> {
    let mut stop = Stop::listen()?;
    let url = queue(args, work)?;
    let target = target(&url);
    let state = State::open(&args.state, &target)?;
    let (total, survey) = survey::in_background(args, work, plan, &target)?;
    let mut run = Enqueue {
        args,
        state,
        sender: Sender::new(work.config.aws.sqs(), &url),
        watch: Watch::new(total),
        ended: Ended::default(),
        files: 0,
        messages: 0,
    };
    run.ended.tally.deliveries = Some(Deliveries::default());
    let region = work.config.aws.region_s3.as_ref().unwrap_or(&work.config.aws.region);
    let packer = Packer::new(&args.source.bucket, region, args.files_per_message.get());
    let outcome = run.all(plan.lister(&args.source, work), packer, &mut stop).await;
    survey.abort();
    run.watch.finish();
    if let Err(error) = outcome {
        run.ended.stopped = Some(format!("{error:#}"));
    }
    let Enqueue { files, messages, sender, .. } = &run;
    writeln!(stdout(), "{files} files sent in {messages} messages and {} requests", sender.requests())?;
    Ok(run.ended)
}

/// What files are finished for: another queue has not seen them.
pub(super) fn target(queue: &str) -> String {
    format!("enqueue {queue}")
}

struct Enqueue<'a> {
    args: &'a Args,
    state: State,
    sender: Sender,
    watch: Watch,
    ended: Ended,
    files: u64,
    messages: u64,
}

impl Enqueue<'_> {
    async fn all(&mut self, mut lister: Lister, mut packer: Packer, stop: &mut Stop) -> Result<()> {
        while self.ended.stopped.is_none() {
            let met = tokio::select! {
                biased;
                () = stop.asked() => {
                    self.ended.stopped = Some("interrupted".to_owned());
                    break;
                }
                met = lister.next() => met?,
            };
            match met {
                None => break,
                Some(Met::Skipped(_)) => self.ended.tally.objects.skipped += 1,
                Some(Met::Foreign(_)) => self.ended.foreign += 1,
                Some(Met::Log(file)) if !self.args.again && self.state.knows(&self.args.source.bucket, &file)? => {
                    self.ended.before += 1;
                }
                Some(Met::Log(file)) => {
                    if let Some(messages) = packer.push(file) {
                        self.send(messages).await?;
                    }
                }
            }
        }
        if self.ended.stopped.is_none() {
            for messages in packer.finish() {
                self.send(messages).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, messages: Vec<Message>) -> Result<()> {
        if messages.is_empty() || self.ended.stopped.is_some() {
            return Ok(());
        }
        let bucket = &self.args.source.bucket;
        let sent = self.sender.send(messages).await;
        self.files += sent.taken.len() as u64;
        self.messages += sent.messages;
        for file in &sent.taken {
            self.watch.done(file.size);
        }
        self.state.remember(bucket, &sent.taken)?;
        self.ended.left += sent.refused.len() as u64;
        if let Some(error) = sent.hopeless {
            self.ended.stopped = Some(error.to_string());
            return Ok(());
        }
        for (file, why) in sent.refused {
            self.watch.aside(|| complain(&anyhow::anyhow!("s3://{bucket}/{}: not sent: {why}", file.key)));
        }
        Ok(())
    }
}
