//! Clients outside of Kubernetes: every kind of external listener, with the values that docs/kubernetes.md says and programs that others
//! wrote, the certificates that brokers present, and what happens when one or the other changes.
mod certificates;
mod gateway;
mod outside;

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use self::certificates::Wildcard;
use self::gateway::Gateway;
use self::outside::{Client, Outside, TOPIC};
use super::account::{Account, Dedicated, text};
use super::release::Release;
use super::{Checks, Namespace, Suite, eventually, on_kubernetes};
use crate::context::Context;
use crate::kube::Kubernetes;
use crate::kube::command::run as run_command;
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "listeners",
    about: "clients outside of Kubernetes: load balancers, node ports, TLS routes of a real Gateway, certificates",
    needs: need::KUBERNETES_AND_CLIENTS,
    run,
};

const NODES: u8 = 1;
const VALUES: &str = "development.enabled=true,controlPlane.replicas=1";
/// As docs/kubernetes.md has it.
const DOMAIN: &str = "kafka.example.com";
const CERTIFICATE: &str = "kafka-certificate";

fn run(context: &Context) -> Result<Outcome> {
    let gateway = Gateway::build(context)?;
    let gateway_image = context.build_dir("listeners")?.join("gateway.tar");
    gateway.write_image(&gateway_image)?;
    on_kubernetes(context, NODES, |kubernetes, checks| {
        kubernetes.load_image(&gateway_image)?;
        let release = Release::new(context, kubernetes, VALUES);
        release.namespace.create_restricted()?;
        release.install()?;
        let account = Account::open(&release)?;
        let dedicated = Dedicated::create(&account)?;
        let outside = Outside::new(context, &dedicated)?;
        let mut listeners =
            Listeners { kubernetes, release: &release, account: &account, dedicated: &dedicated, outside };
        listeners.load_balancer(checks)?;
        listeners.node_port(checks)?;
        listeners.own_certificate(checks)?;
        listeners.tls_route(&gateway, checks)?;
        listeners.none(checks);
        Ok(())
    })
}

/// One Dedicated cluster, whose external listener becomes one kind after the other.
struct Listeners<'a> {
    kubernetes: &'a Kubernetes,
    release: &'a Release<'a>,
    account: &'a Account<'a>,
    dedicated: &'a Dedicated<'a>,
    outside: Outside<'a>,
}

impl Listeners<'_> {
    fn load_balancer(&mut self, checks: &mut Checks<'_>) -> Result<()> {
        self.dedicated.open_client()?;
        self.dedicated.client(&format!("topic create {TOPIC}"), "")?;
        self.dedicated.client(&format!("topic produce {TOPIC}"), "before\n")?;
        checks.check("load balancers: records go through by name and with TLS, from inside too", || {
            self.become_kind("loadBalancer")?;
            let addresses = self.status("/endpoints/addresses")?;
            let addresses = addresses.as_object().context("there are no addresses")?;
            ensure!(addresses.len() == 2, "{addresses:?}");
            let addresses =
                addresses.iter().map(|(host, address)| (host.clone(), address.as_str().unwrap_or_default().into()));
            self.trust_own_authority()?;
            self.connect(&addresses.collect::<Vec<_>>())?;
            self.outside.records_go_through("load balancer")?;
            self.dedicated.has(TOPIC, &["before", "load balancer by Java"])
        });
        checks.check(
            "a client is told the names of the listener that it came in by, and they are in the certificate",
            || {
                let metadata = self.outside.metadata()?;
                let name = &self.dedicated.name;
                ensure!(metadata.contains(&format!(" at b0-{name}.{DOMAIN}:9092")), "{metadata}");
                ensure!(!metadata.contains(".svc"), "{metadata}");
                Ok(())
            },
        );
        checks.check("by a name that is not in the certificate no client comes in", || {
            let (host, address) = ("other.example.com", self.bootstrap_address()?);
            let mut other = Outside::new(self.release.context, self.dedicated)?;
            other.connect_to(&format!("{host}:9092"), &[(host.to_owned(), address)])?;
            for client in [Client::Millstream, Client::Kcat] {
                let Err(error) = other.produce(client, "never") else { bail!("{client:?} came in") };
                ensure!(error.to_string().contains("certificate"), "{error}");
            }
            Ok(())
        });
        Ok(())
    }

    fn node_port(&mut self, checks: &mut Checks<'_>) -> Result<()> {
        checks.check("a load balancer becomes node ports: one roll, no Service of the other kind stays", || {
            self.become_kind("nodePort")?;
            let kinds = self.release.kubectl("get services --output=custom-columns=TYPE:.spec.type --no-headers")?;
            ensure!(!kinds.contains("LoadBalancer"), "{kinds}");
            Ok(())
        });
        checks.check("node ports: records go through by name and with TLS, from inside too", || {
            let node = self.kubernetes.nodes().first().context("there is a node")?.address();
            self.trust_own_authority()?;
            self.connect(&self.hosts().map(|host| (host, node.clone())))?;
            self.outside.records_go_through("node port")?;
            self.dedicated.has(TOPIC, &["load balancer by Kcat", "node port by Kcat"])
        });
        Ok(())
    }

    fn own_certificate(&mut self, checks: &mut Checks<'_>) -> Result<()> {
        let first = Wildcard::new(DOMAIN)?;
        first.put_into(self.release, CERTIFICATE)?;
        checks.check("a certificate of the user's own is presented outside, and inside that of the cluster", || {
            self.upgrade("certificateSecret")?;
            self.is_settled("nodePort")?;
            self.outside.trust(first.authority())?;
            self.outside.is_reached()?;
            self.outside.records_go_through("own certificate")?;
            self.dedicated.has(TOPIC, &["own certificate by Java"])
        });
        checks.check("another one takes its place without a restart and without closing a connection", || {
            let pod = self.dedicated.pod()?;
            let mut staying = self.outside.stay()?;
            staying.reads("own certificate by Java")?;
            let second = Wildcard::new(DOMAIN)?;
            second.put_into(self.release, CERTIFICATE)?;
            self.look_again()?;
            self.outside.trust(second.authority())?;
            self.outside.is_reached()?;
            self.outside.produce(Client::Kcat, "after the other certificate")?;
            staying.reads("after the other certificate")?;
            ensure!(self.dedicated.pod()? == pod, "the pod was replaced");
            Ok(())
        });
        checks.check(
            "one for other names is refused by a condition, and brokers go on with the one that they have",
            || {
                let good = std::fs::read_to_string(self.outside.authorities())?;
                Wildcard::new("example.org")?.put_into(self.release, CERTIFICATE)?;
                self.is_refused("CertificateInvalid", &format!("is not for {}.{DOMAIN}", self.dedicated.name))?;
                self.look_again()?;
                self.outside.trust(&good)?;
                self.outside.is_reached()
            },
        );
        checks.check("a certificate that fits repairs it", || {
            let third = Wildcard::new(DOMAIN)?;
            third.put_into(self.release, CERTIFICATE)?;
            self.look_again()?;
            self.is_settled("nodePort")?;
            self.look_again()?;
            self.outside.trust(third.authority())?;
            self.outside.is_reached()
        });
        Ok(())
    }

    fn tls_route(&mut self, gateway: &Gateway, checks: &mut Checks<'_>) -> Result<()> {
        checks.check("TLS routes without the Gateway API are refused by a condition, and clients inside go on", || {
            self.upgrade("tlsRoute")?;
            self.is_refused("GatewayApiMissing", "install the Gateway API")?;
            self.dedicated.has(TOPIC, &["own certificate by Java"])
        });
        checks.check("with a Gateway API before 1.5 routes are made as v1alpha2", || {
            self.release.kubectl(&format!("apply --server-side --filename={}", gateway.old_definition().display()))?;
            self.has_routes("v1alpha2")
        });
        checks.check("its definition taken away is said, and with the standard channel routes come back as v1", || {
            self.release.kubectl("delete customresourcedefinition tlsroutes.gateway.networking.k8s.io")?;
            self.is_refused("GatewayApiMissing", "install the Gateway API")?;
            let folder = gateway.standard_definitions();
            self.release.kubectl(&format!("apply --server-side --filename={}", folder.display()))?;
            self.has_routes("v1")?;
            let waits = || self.resource().map(|resource| condition(&resource, "Progressing"));
            eventually("Gateway that is waited for", || {
                waits().is_ok_and(|waits| waits["reason"] == "WaitingForGateway")
            })
        });
        checks.check("a Gateway that others wrote takes the routes and passes TLS through by name", || {
            let edge = Namespace::new(self.kubernetes, "edge");
            edge.apply(gateway.manifest())?;
            edge.apply(&documented("kind: Gateway")?)?;
            self.is_settled("tlsRoute")?;
            self.release.kubectl("rollout status deployment/traefik --namespace=edge --timeout=90s")?;
            let address = self.gateway_address()?;
            self.connect(&self.hosts().map(|host| (host, address.clone())))?;
            self.outside.is_reached()?;
            self.outside.records_go_through("TLS route")?;
            let metadata = self.outside.metadata()?;
            ensure!(metadata.contains(&format!(" at b0-{}.{DOMAIN}:443", self.dedicated.name)), "{metadata}");
            self.routes_are_accepted()
        });
        checks.check("the REST API answers through an HTTPRoute and through an Ingress of the chart", || {
            let route = "controlPlane.httpRoute.enabled=true,controlPlane.httpRoute.hostnames={route.example.com},\
                controlPlane.httpRoute.parentRefs[0].name=web,controlPlane.httpRoute.parentRefs[0].namespace=edge";
            let ingress = "controlPlane.ingress.enabled=true,controlPlane.ingress.host=ingress.example.com";
            let upgrade = format!("upgrade millstream CHART --reuse-values --set={route} --set={ingress} --wait");
            self.release.helm(&upgrade)?;
            let url = format!("http://{}/health", self.gateway_address()?);
            for host in ["route.example.com", "ingress.example.com"] {
                let header = format!("Host: {host}");
                let get = || run_command(Command::new("curl").args(["--fail", "--silent", "--header", &header, &url]));
                eventually(host, || get().is_ok())?;
            }
            let other = Command::new("curl").args(["--fail", "--silent", &url]).status()?;
            ensure!(!other.success(), "any host name is answered");
            Ok(())
        });
        Ok(())
    }

    fn gateway_address(&self) -> Result<String> {
        let address = "get service traefik --namespace=edge --output=jsonpath={.status.loadBalancer.ingress[0].ip}";
        self.release.kubectl(address)
    }

    fn none(&self, checks: &mut Checks<'_>) {
        checks.check("without an external listener nothing of it is left, and every record is still there", || {
            self.release.upgrade()?;
            self.is_settled("none")?;
            let left = self.release.kubectl("get services,secrets,tlsroutes --output=name")?;
            ensure!(!left.contains("external"), "{left}");
            let bootstrap = format!("{}-bootstrap.millstream.svc:9092", self.dedicated.name);
            self.is_named(&bootstrap)?;
            self.dedicated
                .has(TOPIC, &["before", "load balancer by Kcat", "node port by Java", "TLS route by Millstream"])
        });
    }

    /// Gives the chart the values of the documentation that have this word.
    fn upgrade(&self, word: &str) -> Result<()> {
        let file = self.release.context.build_dir("listeners")?.join("values.yaml");
        std::fs::write(&file, documented(word)?)?;
        let upgrade = format!("upgrade millstream CHART --reuse-values --values={} --wait", file.display());
        let before = self.generation()?;
        self.release.helm(&upgrade)?;
        eventually("change of the resource", || self.generation().is_ok_and(|now| now != before))
    }

    /// Of the resource; the agent changes it a while after helm is done.
    fn generation(&self) -> Result<Value> {
        Ok(self.resource()?["metadata"]["generation"].take())
    }

    fn become_kind(&self, kind: &str) -> Result<()> {
        self.upgrade(&format!("type: {kind}"))?;
        self.is_settled(kind)
    }

    /// Everything is as the resource says.
    fn is_settled(&self, kind: &str) -> Result<()> {
        let mut seen = Value::Null;
        let settled = eventually("end of the change", || {
            seen = self.resource().unwrap_or_default();
            seen["spec"]["listeners"]["external"]["type"] == kind
                && seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
                && condition(&seen, "Progressing")["status"] == "False"
                && condition(&seen, "Ready")["status"] == "True"
                && condition(&seen, "Accepted")["status"] == "True"
        });
        settled.with_context(|| format!("{}", seen["status"]))
    }

    fn is_refused(&self, reason: &str, words: &str) -> Result<()> {
        let mut accepted = Value::Null;
        let refused = eventually(reason, || {
            accepted = self.resource().map(|resource| condition(&resource, "Accepted")).unwrap_or_default();
            accepted["status"] == "False" && accepted["reason"] == reason
        });
        refused.with_context(|| accepted.to_string())?;
        ensure!(accepted["message"].as_str().is_some_and(|message| message.contains(words)), "{accepted}");
        Ok(())
    }

    /// One for the bootstrap and one for the broker, of this version and with everything that they were given.
    fn has_routes(&self, version: &str) -> Result<()> {
        let mut routes = String::new();
        let found = eventually("routes", || {
            let get = format!("get tlsroutes.{version}.gateway.networking.k8s.io --output=json");
            routes = self.release.kubectl(&get).unwrap_or_else(|error| error.to_string());
            let listed: Value = serde_json::from_str(&routes).unwrap_or_default();
            let names: Vec<_> =
                listed["items"].as_array().into_iter().flatten().map(|route| &route["spec"]["hostnames"][0]).collect();
            self.hosts().iter().all(|host| names.contains(&&Value::from(host.as_str())))
        });
        found.with_context(|| routes.clone())?;
        let set_by = format!("\"apiVersion\": \"gateway.networking.k8s.io/{version}\"");
        ensure!(routes.contains(&set_by), "{set_by} is not in {routes}");
        Ok(())
    }

    fn routes_are_accepted(&self) -> Result<()> {
        let routes: Value = serde_json::from_str(&self.release.kubectl("get tlsroutes --output=json")?)?;
        for route in routes["items"].as_array().context("a list")? {
            let conditions = &route["status"]["parents"][0]["conditions"];
            for kind in ["Accepted", "ResolvedRefs"] {
                let held = conditions
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|held| held["type"] == kind && held["status"] == "True");
                ensure!(held, "not {kind}: {route}");
            }
        }
        Ok(())
    }

    /// The operator looks at a certificate of somebody else once a minute, and so does Kubernetes with what pods mount. A note on the
    /// resource and one on the pod make both look now.
    fn look_again(&self) -> Result<()> {
        let name = &self.dedicated.name;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros();
        self.release.kubectl(&format!("annotate kafkacluster {name} looked={now} --overwrite"))?;
        self.release.kubectl(&format!("annotate pod {name}-broker-0 looked={now} --overwrite")).map(drop)
    }

    fn trust_own_authority(&self) -> Result<()> {
        let name = format!("get configmap {}-ca --output=jsonpath={{.data.ca\\.crt}}", self.dedicated.name);
        self.outside.trust(&self.release.kubectl(&name)?)
    }

    /// Connects where the API says, which is where the resource says.
    fn connect(&mut self, addresses: &[(String, String)]) -> Result<()> {
        let bootstrap = self.status("/endpoints/external")?;
        let bootstrap = bootstrap.as_str().context("there is no external endpoint")?;
        self.is_named(bootstrap)?;
        self.outside.connect_to(bootstrap, addresses)?;
        self.outside.is_reached()
    }

    /// The API names this bootstrap server.
    fn is_named(&self, bootstrap: &str) -> Result<()> {
        let describe = format!("cluster describe {}", self.dedicated.id);
        let mut named = String::new();
        let found = eventually("bootstrap server", || {
            named = self
                .account
                .run(&describe)
                .and_then(|cluster| text(&cluster, "/spec/kafka_bootstrap_endpoint"))
                .unwrap_or_default();
            named.ends_with(bootstrap)
        });
        found.with_context(|| format!("{named} instead of {bootstrap}"))
    }

    fn bootstrap_address(&self) -> Result<String> {
        let host = format!("{}.{DOMAIN}", self.dedicated.name);
        let addresses = self.status("/endpoints/addresses")?;
        Ok(addresses[&host].as_str().context("it has no address")?.to_owned())
    }

    fn hosts(&self) -> [String; 2] {
        ["", "b0-"].map(|prefix| format!("{prefix}{}.{DOMAIN}", self.dedicated.name))
    }

    fn status(&self, pointer: &str) -> Result<Value> {
        let resource = self.resource()?;
        resource["status"]
            .pointer(pointer)
            .cloned()
            .with_context(|| format!("{pointer} is not in {}", resource["status"]))
    }

    fn resource(&self) -> Result<Value> {
        let get = format!("get kafkacluster {} --output=json", self.dedicated.name);
        Ok(serde_json::from_str(&self.release.kubectl(&get)?)?)
    }
}

fn condition(resource: &Value, kind: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

/// The YAML of the documentation with these words: what is said there is what is tried here.
fn documented(words: &str) -> Result<String> {
    const PAGE: &str = include_str!("../../../../../docs/kubernetes.md");
    let blocks = PAGE.split("\n\n").filter(|block| block.lines().all(|line| line.starts_with("    ")));
    let Some(block) = blocks.into_iter().find(|block| block.contains(words)) else {
        bail!("docs/kubernetes.md has no block with {words}")
    };
    Ok(block.lines().map(|line| format!("{}\n", &line[4..])).collect())
}
