//! The regions of the clouds, by their usual names. An agent that does not name its regions serves all of these.

const AWS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

const GCP: &[&str] = &[
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-north2",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "northamerica-south1",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
];

const AZURE: &[&str] = &[
    "australiacentral",
    "australiaeast",
    "australiasoutheast",
    "austriaeast",
    "brazilsouth",
    "canadacentral",
    "canadaeast",
    "centralindia",
    "centralus",
    "chilecentral",
    "eastasia",
    "eastus",
    "eastus2",
    "francecentral",
    "germanywestcentral",
    "indonesiacentral",
    "israelcentral",
    "italynorth",
    "japaneast",
    "japanwest",
    "koreacentral",
    "koreasouth",
    "malaysiawest",
    "mexicocentral",
    "newzealandnorth",
    "northcentralus",
    "northeurope",
    "norwayeast",
    "polandcentral",
    "qatarcentral",
    "southafricanorth",
    "southcentralus",
    "southeastasia",
    "southindia",
    "spaincentral",
    "swedencentral",
    "switzerlandnorth",
    "uaenorth",
    "uksouth",
    "ukwest",
    "westcentralus",
    "westeurope",
    "westindia",
    "westus",
    "westus2",
    "westus3",
];

/// The regions of a cloud, which is written as in JSON.
pub fn known(cloud: &str) -> impl Iterator<Item = &'static str> {
    let regions = match cloud {
        "AWS" => AWS,
        "GCP" => GCP,
        "AZURE" => AZURE,
        _ => &[],
    };
    regions.iter().copied()
}

/// Whether a cloud has a region of this name.
pub fn is_known(cloud: &str, region: &str) -> bool {
    known(cloud).any(|known| known == region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::check_region;

    #[test]
    fn a_region_belongs_to_its_own_cloud() {
        assert!(is_known("AWS", "us-east-2"));
        assert!(is_known("GCP", "us-central1"));
        assert!(is_known("AZURE", "westeurope"));
        assert!(!is_known("AZURE", "us-east-2"));
        assert!(!is_known("aws", "us-east-2"));
        assert!(!is_known("AWS", "US East"));
    }

    #[test]
    fn every_name_is_one_that_a_request_may_give() {
        for cloud in ["AWS", "GCP", "AZURE"] {
            assert!(known(cloud).all(|region| check_region(region).is_ok()), "{cloud}");
        }
    }
}
