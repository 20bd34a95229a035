package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

var evaluator = func() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err)
	}
	return evaluator
}()

// podSecurity returns the reasons why a namespace that enforces the "restricted" standard would reject the object's pods.
func podSecurity(text []byte) []string {
	var object struct {
		Kind     string
		Metadata metav1.ObjectMeta
		Spec     struct {
			corev1.PodSpec `json:",inline"`
			Template       *corev1.PodTemplateSpec
		}
	}
	// Validation has already reported malformed objects.
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil
	}
	pod := corev1.PodTemplateSpec{ObjectMeta: object.Metadata, Spec: object.Spec.PodSpec}
	if object.Spec.Template != nil {
		pod = *object.Spec.Template
	} else if object.Kind != "Pod" {
		return nil
	}
	var reasons []string
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			reasons = append(reasons, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return reasons
}
