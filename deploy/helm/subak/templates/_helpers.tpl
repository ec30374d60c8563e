{{- define "subak.name" -}}
{{ printf "%s-%s" .root.Release.Name .component | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "subak.selector" -}}
app.kubernetes.io/name: subak
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "subak.labels" -}}
{{ include "subak.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "subak.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false  # their variables (SUBAK_GATEWAY_PORT) would look like settings that do not exist
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "subak.selector" . | nindent 8 }}
{{- end }}

{{- define "subak.container" -}}
image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
startupProbe:  # a stage reads its memory back first: five minutes
  httpGet: {path: /health/ready, port: http}
  periodSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /health/ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:  # fails where lag stands and nothing moves; never because something else is away
  httpGet: {path: /health/live, port: http}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "subak.environment" -}}
{{- $kafka := .root.Values.kafka }}
- {name: SUBAK_CITY, value: {{ ternary "/etc/subak/city" .root.Values.city.name (ne .root.Values.city.configMap "") | quote }}}
- {name: SUBAK_KAFKA_BOOTSTRAP_SERVERS, value: {{ $kafka.bootstrapServers | quote }}}
- {name: SUBAK_KAFKA_PARTITIONS, value: {{ $kafka.partitions | quote }}}
- {name: SUBAK_KAFKA_REPLICATION_FACTOR, value: {{ $kafka.replicationFactor | quote }}}
- {name: SUBAK_KAFKA_SECURITY_PROTOCOL, value: {{ $kafka.securityProtocol | quote }}}
{{- if and $kafka.caSecret (ne $kafka.securityProtocol "PLAINTEXT") }}
- {name: SUBAK_KAFKA_CA_FILE, value: /run/secrets/kafka-ca/ca.pem}
{{- end }}
{{- if and .identity (eq $kafka.securityProtocol "SASL_SSL") }}
- {name: SUBAK_KAFKA_CREDENTIALS_FILE, value: /run/secrets/kafka/credentials.toml}
{{- end }}
{{- range $name, $value := .root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "subak.oidc" -}}
{{- with .Values.oidc }}
{{- if .issuer }}
- {name: SUBAK_OIDC_ISSUER, value: {{ .issuer | quote }}}
{{- range $name, $value := .settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "subak.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.city.configMap }}
- {name: city, mountPath: /etc/subak/city, readOnly: true}
{{- end }}
{{- if and .root.Values.kafka.caSecret (ne .root.Values.kafka.securityProtocol "PLAINTEXT") }}
- {name: kafka-ca, mountPath: /run/secrets/kafka-ca, readOnly: true}
{{- end }}
{{- if and .identity (eq .root.Values.kafka.securityProtocol "SASL_SSL") }}
- {name: kafka, mountPath: /run/secrets/kafka, readOnly: true}  # replaced by a rotation, and read again
{{- end }}
{{- end }}

{{- define "subak.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 128Mi}
{{- if .root.Values.city.configMap }}
- name: city
  configMap: {name: {{ .root.Values.city.configMap }}}
{{- end }}
{{- if and .root.Values.kafka.caSecret (ne .root.Values.kafka.securityProtocol "PLAINTEXT") }}
- name: kafka-ca
  secret: {secretName: {{ .root.Values.kafka.caSecret }}, defaultMode: 0440}
{{- end }}
{{- if and .identity (eq .root.Values.kafka.securityProtocol "SASL_SSL") }}
- name: kafka
  secret: {secretName: {{ printf "%s%s" .root.Values.kafka.credentialsSecretPrefix .component }}, defaultMode: 0440}
{{- end }}
{{- end }}
