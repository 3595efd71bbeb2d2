//! Claims of volumes, which are bound as soon as they are there.

use serde_json::{Value, json};

use crate::sandbox::{
    api::{
        conditions,
        failure::Failure,
        object::Object,
        resource::{PERSISTENT_VOLUME_CLAIMS, Resource},
        store::Event,
    },
    controller::{
        worker::{Again, Controller, Key},
        workload::hands::Hands,
    },
};

/// Binds every claim as soon as it is there: the sandbox has no volumes, and nothing that
/// waits for one should wait for ever.
pub(in super::super) struct Claims {
    hands: Hands,
}

impl Claims {
    pub(in super::super) fn new(hands: &Hands) -> Self {
        Self { hands: hands.clone() }
    }
}

impl Controller for Claims {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&PERSISTENT_VOLUME_CLAIMS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &PERSISTENT_VOLUME_CLAIMS {
            add(Key::of(&event.object));
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let (Key::Object(namespace, name) | Key::Orphan(namespace, name)) = key;
        self.hands.store.write(|writer| {
            let kind = &PERSISTENT_VOLUME_CLAIMS;
            let Some(claim) = writer.get(kind, namespace, name) else { return };
            if claim["status"]["phase"] == "Bound" || claim.is_deleting() {
                return;
            }
            let mut bound = Value::clone(&claim);
            let volume = format!("pvc-{}", claim.uid());
            bound.section_mut("spec").insert("volumeName".into(), volume.into());
            bound["status"] = json!({
                "phase": "Bound",
                "accessModes": claim["spec"]["accessModes"],
                "capacity": claim["spec"]["resources"]["requests"],
            });
            conditions::set(&mut bound, "sandbox.netproof.dev/NoVolume", true, "NoVolume", "");
            if let Some(status) = bound["status"].as_object_mut() {
                status.retain(|_, value| !value.is_null());
            }
            writer.put(kind, bound);
        });
        Ok(None)
    }
}
