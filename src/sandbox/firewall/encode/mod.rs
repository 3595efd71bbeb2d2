//! A ruleset as one nf_tables transaction.
//!
//! The kernel takes the batch whole or not at all: the old table goes and the new one
//! comes in the same instant. Connections live in connection tracking, not in the table,
//! so those that are established don't notice.

mod attribute;
mod expression;
mod set;

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;

use self::attribute::Message;
use super::{
    delta::Delta,
    ruleset::{Base, Chain, Rule, Ruleset},
    text::{LOG_GROUP, TABLE, short},
};
use crate::sandbox::node::netlink::{Netlink, Request};

// Message types of the nf_tables subsystem.
const NEWTABLE: u8 = 0;
const DELTABLE: u8 = 2;
const NEWCHAIN: u8 = 3;
const DELCHAIN: u8 = 5;
const NEWRULE: u8 = 6;
const DELRULE: u8 = 8;
// Attributes: of tables, chains, hooks and rules.
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;

/// The messages that replace a namespace's table with these rules.
pub(in crate::sandbox) fn encode(rules: &Ruleset) -> Vec<Request> {
    // Making the table first lets its deletion succeed where there is none yet.
    let table = || Message::new(NEWTABLE).string(TABLE_NAME, TABLE);
    let mut requests = vec![
        Message::begin(),
        table().done("create the table"),
        Message::delete(DELTABLE).string(TABLE_NAME, TABLE).done("delete the old table"),
        table().done("create the table"),
    ];
    // Chains before maps, whose elements jump to them; sets before rules, which use them.
    requests.extend(rules.chains.iter().map(chain));
    for set in &rules.sets {
        set::named(set, &mut requests);
    }
    encode_rules(&rules.chains, &mut requests);
    finish(requests)
}

/// The messages that change a namespace's table; all are carried out or none.
pub(in crate::sandbox) fn encode_delta(delta: &Delta) -> Vec<Request> {
    let mut requests = vec![Message::begin()];
    requests.extend(delta.new_chains.iter().map(chain));
    requests.extend(delta.flushed.iter().map(|name| {
        // Without a rule's handle, all rules of the chain.
        Message::delete(DELRULE)
            .string(RULE_TABLE, TABLE)
            .string(RULE_CHAIN, name)
            .done(&format!("empty chain {name}"))
    }));
    for set in &delta.removed {
        set::remove(set, &mut requests);
    }
    requests.extend(delta.old_sets.iter().map(|name| set::delete(name)));
    for set in &delta.new_sets {
        set::named(set, &mut requests);
    }
    for set in &delta.added {
        set::add(set, &mut requests);
    }
    encode_rules(&delta.rules, &mut requests);
    requests.extend(delta.old_chains.iter().map(|name| {
        Message::delete(DELCHAIN)
            .string(CHAIN_TABLE, TABLE)
            .string(CHAIN_NAME, name)
            .done(&format!("delete chain {name}"))
    }));
    finish(requests)
}

fn encode_rules(chains: &[Chain], requests: &mut Vec<Request>) {
    let mut next_id = 0;
    for chain in chains {
        for rule in &chain.rules {
            encode_rule(chain, rule, &mut next_id, requests);
        }
    }
}

fn finish(mut requests: Vec<Request>) -> Vec<Request> {
    // An answer to the last message comes when the whole batch has been taken.
    if let Some(last) = requests.last_mut() {
        attribute::acknowledge(last);
    }
    requests.push(Message::end());
    requests
}

/// Opens the way to the kernel's rules, in the network namespace of the calling thread.
pub(in crate::sandbox) fn open() -> io::Result<Netlink> {
    Netlink::open(NETLINK_NETFILTER)
}

fn chain(chain: &Chain) -> Request {
    let message = Message::new(NEWCHAIN).string(CHAIN_TABLE, TABLE).string(CHAIN_NAME, &chain.name);
    let message = match chain.base {
        None => message,
        Some(base) => {
            let (kind, hook, priority) = match base {
                Base::FilterForward => ("filter", 2, -10_i32),
                Base::FilterEgress => ("filter", 2, 0),
                Base::FilterIngress => ("filter", 2, 10),
                Base::FilterInput => ("filter", 1, 0),
                Base::FilterOutput => ("filter", 3, 0),
                Base::NatPrerouting => ("nat", 0, -100),
                Base::NatOutput => ("nat", 3, -100),
                Base::NatPostrouting => ("nat", 4, 100),
            };
            message
                .nest(CHAIN_HOOK, |nest| {
                    nest.number(HOOK_NUMBER, hook)
                        .number(HOOK_PRIORITY, u32::from_ne_bytes(priority.to_ne_bytes()))
                })
                .string(CHAIN_TYPE, kind)
        }
    };
    message.done(&format!("create chain {}", chain.name))
}

fn encode_rule(chain: &Chain, rule: &Rule, next_id: &mut u32, requests: &mut Vec<Request>) {
    let mut expressions = expression::Expressions::default();
    for one in &rule.matches {
        expressions.matching(one);
    }
    if let Some(text) = &rule.log {
        expressions.log(LOG_GROUP, short(text));
    }
    // The map of a translation is part of its rule, but must be there before it.
    let map = set::endpoints(&rule.action, next_id, requests);
    expressions.acting(&rule.action, map);
    let mut message = Message::append(NEWRULE)
        .string(RULE_TABLE, TABLE)
        .string(RULE_CHAIN, &chain.name)
        .nested_bytes(RULE_EXPRESSIONS, &expressions.finish());
    if let Some(comment) = &rule.comment {
        message = message.bytes(RULE_USERDATA, &remark(comment));
    }
    requests.push(message.done(&format!("add a rule to chain {}: {rule}", chain.name)));
}

/// A comment as nft keeps it: kind 0, the length, the text with its end.
fn remark(comment: &str) -> Vec<u8> {
    let comment = short(comment);
    let mut userdata = vec![0, comment.len() as u8 + 1];
    userdata.extend_from_slice(comment.as_bytes());
    userdata.push(0);
    userdata
}
