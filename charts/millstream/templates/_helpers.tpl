{{/* Name of the objects of this release. */}}
{{- define "millstream.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Call with (dict "root" $ "component" "control-plane"). */}}
{{- define "millstream.labels" -}}
{{ include "millstream.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: millstream
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/*
Labels that find the pods of a component. They never change: selectors are immutable, and the NetworkPolicy of brokers
lets in who is called millstream-operator.
*/}}
{{- define "millstream.selector" -}}
app.kubernetes.io/name: millstream-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The image, by digest where one is given. */}}
{{- define "millstream.image" -}}
{{- $repository := include "millstream.imageRepository" . -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "millstream.imageRepository" -}}
{{- if .Values.image.registry -}}
{{- printf "%s/%s" .Values.image.registry .Values.image.repository -}}
{{- else -}}
{{- .Values.image.repository -}}
{{- end -}}
{{- end -}}

{{- define "millstream.imagePullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What Kubernetes calls restricted. */}}
{{- define "millstream.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "millstream.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Names of Secrets, whether somebody else makes them or this chart does. */}}
{{- define "millstream.databaseSecret" -}}
{{- .Values.controlPlane.database.existingSecret -}}
{{- end -}}
{{- define "millstream.installationSecret" -}}
{{- .Values.controlPlane.installationSecret.existingSecret | default (printf "%s-installation" (include "millstream.fullname" .)) -}}
{{- end -}}
{{- define "millstream.agentTokenSecret" -}}
{{- .Values.controlPlane.fleet.agentTokenSecret | default (printf "%s-agent-token" (include "millstream.fullname" .)) -}}
{{- end -}}
{{- define "millstream.firstCredentialsSecret" -}}
{{- .Values.controlPlane.organization.existingSecret | default (printf "%s-first-credentials" (include "millstream.fullname" .)) -}}
{{- end -}}
{{- define "millstream.fleetTlsSecret" -}}
{{- .Values.controlPlane.fleet.serverTlsSecret | default (printf "%s-fleet-tls" (include "millstream.fullname" .)) -}}
{{- end -}}
{{- define "millstream.agentTlsSecret" -}}
{{- .Values.controlPlane.fleet.agentTlsSecret | default (printf "%s-agent-tls" (include "millstream.fullname" .)) -}}
{{- end -}}

{{/* How the agent and the brokers reach the control plane. */}}
{{- define "millstream.fleetHost" -}}
{{- printf "%s-fleet.%s.svc" (include "millstream.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "millstream.agentId" -}}
{{- .Values.operator.agent.id | default (printf "%s-%s" .Release.Namespace (include "millstream.fullname" .)) -}}
{{- end -}}

{{/* How pods reach the REST API. */}}
{{- define "millstream.internalUrl" -}}
{{- $scheme := ternary "https" "http" (not (empty .Values.controlPlane.tlsSecret)) -}}
{{- printf "%s://%s.%s.svc:%d" $scheme (include "millstream.fullname" .) .Release.Namespace (int .Values.controlPlane.service.port) -}}
{{- end -}}

{{/* How people reach the REST API, in links that it answers. */}}
{{- define "millstream.publicUrl" -}}
{{- .Values.controlPlane.publicUrl | default (include "millstream.internalUrl" .) -}}
{{- end -}}

{{/* The volume `token`, for a pod that speaks to the API server. */}}
{{- define "millstream.serviceAccountToken" -}}
- name: token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3607 }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end -}}

{{/* Spreads the pods of a component over zones and nodes where it can. */}}
{{- define "millstream.spread" -}}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "millstream.selector" $ | nindent 8 }}
{{- end }}
{{- end -}}
