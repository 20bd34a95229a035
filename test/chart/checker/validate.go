package main

import (
	"fmt"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration"
	apiregistrationinstall "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	apiregistrationvalidation "k8s.io/kube-aggregator/pkg/apis/apiregistration/validation"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"sigs.k8s.io/yaml"
)

var strict = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()

func init() {
	apiregistrationinstall.Install(legacyscheme.Scheme)
}

// Custom resources are checked for unknown fields; their operators validate the values.
var custom = map[string]func() any{
	"cert-manager.io/v1/Certificate":          func() any { return &certmanager.Certificate{} },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return &monitoring.PrometheusRule{} },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return &monitoring.ServiceMonitor{} },
}

// validate returns the errors with which the API server would reject an object.
func validate(apiVersion, kind string, text []byte) []string {
	if create, ok := custom[apiVersion+"/"+kind]; ok {
		return messageOf(yaml.UnmarshalStrict(text, create()))
	}
	object, _, err := strict.Decode(text, nil, nil)
	if err != nil {
		return messageOf(err)
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return messageOf(err)
	}
	if _, isOfCluster := object.(*apiregistration.APIService); accessor.GetNamespace() == "" && !isOfCluster {
		accessor.SetNamespace("default") // the API server takes it from the request
	}
	var messages []string
	for _, each := range validateTyped(object) {
		messages = append(messages, each.Error())
	}
	return messages
}

func validateTyped(object runtime.Object) field.ErrorList {
	pods := corevalidation.PodValidationOptions{}
	scaling := autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{MinReplicasLowerBound: 1}
	switch typed := object.(type) {
	case *apiregistration.APIService:
		return apiregistrationvalidation.ValidateAPIService(typed)
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(typed)
	case *core.Pod:
		return corevalidation.ValidatePodCreate(typed, pods)
	case *core.Secret:
		return corevalidation.ValidateSecret(typed)
	case *core.Service:
		allocate(&typed.Spec)
		return corevalidation.ValidateServiceCreate(typed)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(typed)
	case *apps.DaemonSet:
		return appsvalidation.ValidateDaemonSet(typed, pods)
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(typed, pods)
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(typed, pods)
	case *autoscaling.HorizontalPodAutoscaler:
		return autoscalingvalidation.ValidateHorizontalPodAutoscaler(typed, scaling)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(typed, networkingvalidation.NetworkPolicyValidationOptions{})
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(typed, policyvalidation.PodDisruptionBudgetValidationOptions{})
	}
	return field.ErrorList{field.NotSupported(field.NewPath("kind"), fmt.Sprintf("%T", object), []string{"see validate.go"})}
}

// allocate fills in what the API server allocates before it validates.
func allocate(service *core.ServiceSpec) {
	if service.ClusterIP != "" {
		service.ClusterIPs = []string{service.ClusterIP}
	}
	if service.Type == core.ServiceTypeLoadBalancer && service.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal {
		service.HealthCheckNodePort = 30000
	}
}

func messageOf(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}
