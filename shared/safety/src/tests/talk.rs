//! Realistic texts: people in need, threats, and harmless talk about games.

use super::*;

const NONE: [(&str, Vec<Code>); 0] = [];

/// The texts whose verdict as a mention differs, each with its verdict.
fn unless<'t>(texts: &[&'t str], is_right: impl Fn(&GuardVerdict) -> bool) -> Vec<(&'t str, Vec<Code>)> {
    let verdicts = texts.iter().map(|text| (*text, BUILT_IN.mention(text)));
    verdicts.filter(|(_, verdict)| !is_right(verdict)).map(|(text, verdict)| (text, codes(&verdict))).collect()
}

#[test]
fn a_cry_for_help_is_heard_however_it_is_worded() {
    let texts = [
        "I want to fucking die",
        "i just want to die tbh",
        "I want to just fucking DIE",
        "I want to..... die",
        "i really don't even want to be alive",
        "want to be dead",
        "wish I was already dead",
        "no point in living",
        "there's no fucking point in being alive",
        "what's the point of living",
        "gonna end myself",
        "I'm going to off myself tonight",
        "thinking about ending myself",
        "ending it all",
        "I'm gonna fucking k1ll myself",
        "gonna kms",
        "#killmyself",
        "iwanttodie",
        "tired of living",
        "I'm so tired of being alive",
        "can't live like this anymore",
        "I can't do this shit anymore",
        "I don't deserve to live",
        "I deserve to die",
        "the world would be better without me",
        "nobody would care if I died",
        "I don't care if I wake up",
        "hope I don't wake up tomorrow",
        "never want to wake up again",
        "lost the will to live",
        "gonna jump off a fucking bridge",
        "about to step in front of a train",
        "took all my pills",
        "blow my brains out",
        "suiside",
        "sewerslide is the only way out",
        "can't fucking stop gambling",
        "gambling has ruined my life",
        "I lost all my rent money and my life is over",
        "I don't see the point in living",
        "gonna go end myself",
        "I can't go on",
        "gambled away my kids' college fund",
        "my wife left me because of my betting",
        "quiero morir",
        "ich will nicht mehr leben",
        "je veux mourir",
    ];
    assert_eq!(
        unless(&texts, |verdict| matches!(verdict, GuardVerdict::Review(_)) && verdict.says(Code::Crisis)),
        NONE
    );
}

#[test]
fn a_threat_is_one_whatever_is_put_between_its_words() {
    let texts = [
        "I'll fucking kill you",
        "I'm going to hurt ya",
        "gonna kill u",
        "I will find him and stab him",
        "I'll stab him",
        "we'll kill your family",
        "you're dead meat",
        "go fucking die",
        "go off yourself",
        "I know exactly where you live",
    ];
    assert_eq!(
        unless(&texts, |verdict| matches!(verdict, GuardVerdict::Review(_)) && verdict.says(Code::Threat)),
        NONE
    );
}

#[test]
fn talk_of_games_and_bets_is_neither_a_threat_nor_a_cry_for_help() {
    let texts = [
        "my parlay is going to die",
        "that take needs to die",
        "suicide squeeze in the ninth!",
        "in the suicide pool I have the Bills",
        "he ran 10 kms before the game",
        "only a few kms away from the stadium",
        "Celtics gonna kill them",
        "turnovers going to hurt them",
        "you're dead right about the under",
        "kurs 1.85",
        "the vig is gonna kill you long term",
        "that hook is going to hurt you",
        "fees will kill your bankroll, going to kill your ROI",
        "We'll kill them on the boards",
        "Knicks gonna murder them inside",
        "gonna shoot them out of the gym",
        "they are going to blow up the scoreboard",
        "I shot myself in the foot with that hedge",
        "don't shoot yourself in the foot",
        "cut myself off at two bets a night",
        "I'd bet my house on the Chiefs",
        "I'm going to die on this hill",
        "I was dying laughing, gonna die laughing at that line",
        "take the pressure off yourself and bet less",
        "in the end myself and Tom both cashed",
        "this is my last post of the night",
        "bring a knife to a gunfight and lose by 20",
        "gun to my head I like the over",
        "no point in laying -300",
        "what's the point of a -400 favorite",
        "I don't want to live bet this one",
        "want to be on the dog here",
        "tired of losing by the hook",
        "die hard Bears fan, live dog tonight",
        "the line will die at -3, the public is on it",
        "I'm done with overs this week",
        "sick of bad beats, who's hitting tonight?",
        "Can't stop, won't stop: 9-2 run",
        "wake up, Raptors! need a big fourth",
        "killer instinct, dagger three, stone cold assassin",
        "Embiid is hurt, Maxey going to kill it",
        "they just shoot 3s all game, live by it die by it",
        "drop the hammer: 5u on Sinner in straight sets",
        "Who're you taking, Duke or UNC?",
        "The bullpen is dead, over 8.5 is free",
        "I hope they die down in the second half",
        "Bring it all home, parlay leg four of four",
        "sharps are hammering the dog, books need it to lose",
        "he's on a minutes limit, won't be here long",
        "end it with a walk-off, please",
        "my unders are alive and well",
        "J.P. Crawford hits here, W.G. Grace would too",
        "can't go on the road and lay points, no reason to go on tilt",
        "the hook's gonna kill you every time",
        "don't want to wake up early for London games",
        "F.G. attempts under 79.5, T.J. Watt sack +120",
    ];
    assert_eq!(unless(&texts, |verdict| *verdict == GuardVerdict::Pass), NONE);
    let published = texts.iter().map(|text| BUILT_IN.text(text, None));
    assert_eq!(published.filter(|verdict| matches!(verdict, GuardVerdict::Refuse(_))).collect::<Vec<_>>(), []);
}

#[test]
fn earlier_texts_are_read_for_cries_for_help_alone() {
    let earlier = ["fuck this line, call 212-555-0123", "honestly I just want to die", "k y s", "gonna kms lol"];
    let verdict = guard().crisis(earlier);
    assert!(matches!(verdict, GuardVerdict::Review(_)), "{verdict:?}");
    assert_eq!(codes(&verdict), [Code::Crisis, Code::Crisis]);
    let found: Vec<&str> = verdict.reasons().iter().map(|reason| reason.found.as_str()).collect();
    assert_eq!(found, ["want to die", "kms"]);
    assert!(
        verdict.reasons().iter().all(|reason| reason.at == TextSpan { start: 0, end: 0 }),
        "they lie in no place of the mention"
    );
    assert_eq!(guard().crisis(["suicide squeeze", "my parlay is going to die"]), GuardVerdict::Pass);
    assert!(guard().crisis(vec!["rien ne va plus pour moi"; 9]).reasons().len() <= 5);
    assert_eq!(guard().crisis([]), GuardVerdict::Pass);
}
