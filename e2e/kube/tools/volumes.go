package main

// Volumes as folders of the machine, for StorageClasses with provisioner "millstream.dev/folder". A volume
//
//   - is made once the scheduler chose a node (WaitForFirstConsumer), and is pinned to it,
//   - grows when its claim asks for more; sizes are only written down, never enforced,
//   - goes away with its folder when its claim is gone and its policy is Delete.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/reference"
)

const (
	provisioner          = "millstream.dev/folder"
	selectedNode         = "volume.kubernetes.io/selected-node"
	provisionedBy        = "pv.kubernetes.io/provisioned-by"
	everybodyReadsWrites = 0o777 // containers run as any user
)

func syncVolumes(ctx context.Context, client kubernetes.Interface, root string) error {
	policies, err := reclaimPolicies(ctx, client)
	if err != nil {
		return err
	}
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var problems []error // one claim that fails must not hold up the others
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.Spec.StorageClassName == nil || claim.DeletionTimestamp != nil {
			continue
		}
		policy, ours := policies[*claim.Spec.StorageClassName]
		node := claim.Annotations[selectedNode]
		switch {
		case !ours:
		case claim.Spec.VolumeName == "" && node != "":
			problems = append(problems, provision(ctx, client, root, claim, node, policy))
		case claim.Status.Phase == corev1.ClaimBound:
			problems = append(problems, expand(ctx, client, claim))
		}
	}
	return errors.Join(append(problems, removeReleased(ctx, client, root))...)
}

func reclaimPolicies(ctx context.Context, client kubernetes.Interface) (map[string]corev1.PersistentVolumeReclaimPolicy, error) {
	classes, err := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	policies := map[string]corev1.PersistentVolumeReclaimPolicy{}
	for _, class := range classes.Items {
		if class.Provisioner != provisioner {
			continue
		}
		policies[class.Name] = corev1.PersistentVolumeReclaimDelete
		if class.ReclaimPolicy != nil {
			policies[class.Name] = *class.ReclaimPolicy
		}
	}
	return policies, nil
}

func provision(ctx context.Context, client kubernetes.Interface, root string, claim *corev1.PersistentVolumeClaim,
	node string, policy corev1.PersistentVolumeReclaimPolicy) error {
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(root, node, name)
	if err := os.MkdirAll(path, everybodyReadsWrites); err != nil {
		return err
	}
	if err := os.Chmod(path, everybodyReadsWrites); err != nil { // past the umask
		return err
	}
	owner, err := reference.GetReference(scheme.Scheme, claim)
	if err != nil {
		return err
	}
	onNode := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}
	affinity := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{onNode}}}}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              *claim.Spec.StorageClassName,
			ClaimRef:                      owner,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  &corev1.VolumeNodeAffinity{Required: affinity},
		},
	}
	_, err = client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func expand(ctx context.Context, client kubernetes.Interface, claim *corev1.PersistentVolumeClaim) error {
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if wanted.Cmp(claim.Status.Capacity[corev1.ResourceStorage]) <= 0 {
		return nil
	}
	volume, err := client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	volume.Spec.Capacity[corev1.ResourceStorage] = wanted
	if _, err = client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim.Status.Capacity[corev1.ResourceStorage] = wanted
	claim.Status.Conditions = nil
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}

func removeReleased(ctx context.Context, client kubernetes.Interface, root string) error {
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, volume := range volumes.Items {
		released := volume.Annotations[provisionedBy] == provisioner && volume.Status.Phase == corev1.VolumeReleased &&
			volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && volume.Spec.Local != nil
		if !released {
			continue
		}
		path := volume.Spec.Local.Path
		if relative, err := filepath.Rel(root, path); err != nil || !filepath.IsLocal(relative) {
			return fmt.Errorf("volume %s lies outside of %s and is left alone", volume.Name, root)
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}
