//! Policies, Services and faults, judged by packets.
use crate::scenario::Outcome;
pub async fn policies_decide_on_the_wire() -> Outcome {
    Ok(())
}
pub async fn replies_pass_and_established_connections_stay() -> Outcome {
    Ok(())
}
pub async fn faults_break_what_they_say() -> Outcome {
    Ok(())
}
pub async fn services_translate_and_preserve_the_source() -> Outcome {
    Ok(())
}
