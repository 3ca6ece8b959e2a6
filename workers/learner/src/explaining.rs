//! A decision in words.

use std::fmt::Write as _;

use crate::{
    policy::{ArmWeight, Decision},
    store::LoggedDecision,
};

/// Why a post went out when it did, in words, a line each.
pub(crate) fn explained(logged: &LoggedDecision) -> String {
    let Ok(decision) = serde_json::from_value::<Decision>(logged.decision.clone()) else {
        return format!(
            "It was of the kind {}, chosen by version {} with a probability of {:.1} %. Another release wrote the rest of the log, \
             which this one cannot read.",
            logged.arm,
            logged.policy,
            logged.propensity * 100.0
        );
    };
    let mut words = String::new();
    arm(&mut words, logged, &decision);
    candidate(&mut words, &decision);
    let _ = writeln!(
        words,
        "Its time was one of the planned ones; the plan of that day had this hour with a probability of {:.1} %.",
        logged.slot_propensity * 100.0
    );
    match (logged.reward, &logged.reason) {
        (Some(reward), _) => {
            let _ = writeln!(words, "It earned {reward:+.3}: {}.", better(reward));
        }
        (None, Some(reason)) => {
            let _ = writeln!(words, "It has no reward: {reason}.");
        }
        (None, None) => words.push_str("It has no reward yet.\n"),
    }
    words
}

fn better(reward: f64) -> String {
    let factor = reward.abs().exp();
    if factor < 1.05 {
        "about what the account expects at that hour".to_owned()
    } else {
        let how = if reward > 0.0 { "better" } else { "worse" };
        format!("its odds of a reaction were {factor:.1} times {how} than the account expects at that hour")
    }
}

fn arm(words: &mut String, logged: &LoggedDecision, decision: &Decision) {
    let others: Vec<&ArmWeight> = decision.arms.iter().filter(|arm| arm.arm != decision.arm).collect();
    let Some(own) = decision.arms.iter().find(|arm| arm.arm == decision.arm) else { return };
    let _ = writeln!(
        words,
        "Version {} of the policy, which had learned from {} posts, chose the kind {} with a probability of {:.1} %.",
        logged.policy,
        decision.lessons,
        decision.arm,
        own.propensity * 100.0
    );
    if decision.explored {
        let _ = writeln!(
            words,
            "It did so to explore: {:.0} % of choices are left to chance, so that what is not tried can still show what it is worth.",
            decision.epsilon * 100.0
        );
    } else if others.is_empty() {
        words.push_str("No other kind had a candidate.\n");
    } else {
        let best = others.iter().fold(others[0], |best, arm| if arm.mean > best.mean { arm } else { best });
        let _ = writeln!(
            words,
            "It is believed to earn {:+.3}, from {:.0} posts; the best other one, {}, {:+.3}, from {:.0} posts.{}",
            own.mean,
            own.posts,
            best.arm,
            best.mean,
            best.posts,
            if own.mean < best.mean { " It was drawn because little is known of it yet." } else { "" }
        );
    }
}

fn candidate(words: &mut String, decision: &Decision) {
    let of_arm = decision.candidates.iter().filter(|one| one.arm == decision.arm && one.removed.is_none()).count();
    let removed = decision.candidates.iter().filter(|one| one.removed.is_some()).count();
    let chosen = decision.candidates.iter().find(|one| one.id == decision.chosen);
    let score = chosen.and_then(|chosen| chosen.score).unwrap_or(0.5);
    let _ = writeln!(
        words,
        "Among {of_arm} of that kind it was scored with {:.1} % to do better than the account expects. {} candidates were weighed in \
         all, {removed} of them removed before.",
        score * 100.0,
        decision.candidates.len()
    );
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::policy::{Knowledge, Offer, Policy, choose};

    #[test]
    fn the_words_name_the_kind_the_probability_and_what_came_of_it() {
        let offer =
            |id, arm: &str| Offer { id, arm: arm.into(), text: "Rye wants a cold night.".into(), removed: None };
        let offers = [offer(1, "rye/single/claim/any"), offer(2, "salt/single/claim/any")];
        let known = Knowledge::new(&[], Tz::UTC);
        let at = "2026-12-01T09:00:00Z".parse().expect("a time");
        let decision = choose(&Policy::default(), &known, &offers, at, 3).expect("a decision");
        let logged = LoggedDecision {
            id: 1,
            bot: "baker".parse().expect("a name"),
            slot_at: at,
            decided_at: at,
            policy: 1,
            arm: decision.arm.clone(),
            candidate_id: decision.chosen,
            parts: vec!["Rye wants a cold night.".into()],
            propensity: decision.propensity,
            slot_propensity: 0.25,
            decision: serde_json::to_value(&decision).expect("JSON"),
            effect_key: "learner:baker:1".into(),
            job_id: perch_jobs::JobId::at(at),
            state: crate::store::OutcomeState::Published,
            external_id: Some("42".into()),
            simulated: false,
            published_at: Some(at),
            reason: None,
            reward: Some(0.7),
            follows: None,
        };
        let words = explained(&logged);
        assert!(
            words.contains(&decision.arm) && words.contains("25.0 %") && words.contains("2.0 times better"),
            "{words}"
        );
        let unread = explained(&LoggedDecision { decision: serde_json::json!({}), ..logged });
        assert!(unread.contains("cannot read"), "{unread}");
    }
}
