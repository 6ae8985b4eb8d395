//! RPCs of Temporal's API that are left out on purpose, by the feature they belong to.

/// The feature an RPC belongs to, if it is one that this server does not have.
pub(crate) fn feature_of(rpc: &str) -> Option<&'static str> {
    FEATURES
        .iter()
        .find(|(_, rpcs)| rpcs.contains(&rpc))
        .map(|(feature, _)| *feature)
}

const FEATURES: &[(&str, &[&str])] = &[
    (
        "worker versioning by build ids",
        &[
            "UpdateWorkerBuildIdCompatibility",
            "GetWorkerBuildIdCompatibility",
            "UpdateWorkerVersioningRules",
            "GetWorkerVersioningRules",
            "GetWorkerTaskReachability",
        ],
    ),
    (
        "worker deployments",
        &[
            "DescribeDeployment",
            "ListDeployments",
            "GetDeploymentReachability",
            "GetCurrentDeployment",
            "SetCurrentDeployment",
            "DescribeWorkerDeploymentVersion",
            "SetWorkerDeploymentCurrentVersion",
            "DescribeWorkerDeployment",
            "DeleteWorkerDeployment",
            "DeleteWorkerDeploymentVersion",
            "SetWorkerDeploymentRampingVersion",
            "ListWorkerDeployments",
            "CreateWorkerDeployment",
            "CreateWorkerDeploymentVersion",
            "UpdateWorkerDeploymentVersionComputeConfig",
            "ValidateWorkerDeploymentVersionComputeConfig",
            "UpdateWorkerDeploymentVersionMetadata",
            "SetWorkerDeploymentManager",
        ],
    ),
    (
        "Nexus",
        &[
            "PollNexusTaskQueue",
            "RespondNexusTaskCompleted",
            "RespondNexusTaskFailed",
            "StartNexusOperationExecution",
            "DescribeNexusOperationExecution",
            "PollNexusOperationExecution",
            "ListNexusOperationExecutions",
            "CountNexusOperationExecutions",
            "RequestCancelNexusOperationExecution",
            "TerminateNexusOperationExecution",
            "DeleteNexusOperationExecution",
            "GetNexusEndpoint",
            "CreateNexusEndpoint",
            "UpdateNexusEndpoint",
            "DeleteNexusEndpoint",
            "ListNexusEndpoints",
        ],
    ),
    ("archival", &["ListArchivedWorkflowExecutions"]),
    (
        "more than one cluster",
        &["AddOrUpdateRemoteCluster", "RemoveRemoteCluster", "ListClusters"],
    ),
    (
        "workflow rules",
        &[
            "CreateWorkflowRule",
            "DescribeWorkflowRule",
            "DeleteWorkflowRule",
            "ListWorkflowRules",
            "TriggerWorkflowRule",
        ],
    ),
    (
        "pausing workflows",
        &["PauseWorkflowExecution", "UnpauseWorkflowExecution"],
    ),
    (
        "worker configuration by the server",
        &["FetchWorkerConfig", "UpdateWorkerConfig"],
    ),
    ("time skipping", &["PollWorkflowExecutionTimeSkipping"]),
];
