//! The columns of what stores data.

use super::{
    super::{
        super::object::Object,
        cells::{
            Cell::{Age, Flag, Of, Text, TextOr},
            Column, joined, name_of_class, or,
        },
        parts::{claim, modes, phase},
    },
    count, flag, text,
};

/// The columns of a StorageClass.
pub(super) fn class() -> Vec<Column> {
    let age = || text("Age", Age);
    vec![
        text(
            "Name",
            Of(|class| name_of_class(class, "storageclass.kubernetes.io/is-default-class")),
        ),
        text("Provisioner", Text("/provisioner")),
        text("ReclaimPolicy", TextOr("/reclaimPolicy", "Delete")),
        text("VolumeBindingMode", TextOr("/volumeBindingMode", "Immediate")),
        text("AllowVolumeExpansion", Flag("/allowVolumeExpansion")),
        age(),
    ]
}

/// The columns of the other kinds, after the name.
pub(super) fn of(kind: &str) -> Vec<Column> {
    let age = || text("Age", Age);
    match kind {
        "PersistentVolume" => vec![
            text("Capacity", Text("/spec/capacity/storage")),
            text("Access Modes", Of(|volume| modes(volume.items("/spec/accessModes")))),
            text("Reclaim Policy", Text("/spec/persistentVolumeReclaimPolicy")),
            text("Status", Of(phase)),
            text("Claim", Of(claim)),
            text("StorageClass", Text("/spec/storageClassName")),
            text("VolumeAttributesClass", TextOr("/spec/volumeAttributesClassName", "<unset>")),
            text("Reason", Text("/status/reason")),
            age(),
            text("VolumeMode", TextOr("/spec/volumeMode", "<unset>")).wide(),
        ],
        "PersistentVolumeClaim" => vec![
            text("Status", Of(phase)),
            text("Volume", Text("/spec/volumeName")),
            text("Capacity", Text("/status/capacity/storage")),
            text("Access Modes", Of(|claim| modes(claim.items("/status/accessModes")))),
            text("StorageClass", Text("/spec/storageClassName")),
            text(
                "VolumeAttributesClass",
                TextOr("/status/currentVolumeAttributesClassName", "<unset>"),
            ),
            age(),
            text("VolumeMode", TextOr("/spec/volumeMode", "<unset>")).wide(),
        ],
        "CSINode" => {
            vec![count("Drivers", Of(|node| node.items("/spec/drivers").len().into())), age()]
        }
        "CSIDriver" => vec![
            flag("AttachRequired", Of(|driver| (driver["spec"]["attachRequired"] != false).into())),
            flag("PodInfoOnMount", Flag("/spec/podInfoOnMount")),
            flag("StorageCapacity", Flag("/spec/storageCapacity")),
            text(
                "TokenRequests",
                Of(|driver| {
                    or(joined(driver.items("/spec/tokenRequests"), "/audience"), "<unset>").into()
                }),
            ),
            flag("RequiresRepublish", Flag("/spec/requiresRepublish")),
            text(
                "Modes",
                Of(|driver| joined(driver.items("/spec/volumeLifecycleModes"), "").into()),
            ),
            age(),
        ],
        _ => vec![text("Created At", Text("/metadata/creationTimestamp"))],
    }
}
