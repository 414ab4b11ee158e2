// Package dubbo holds what Dubbo writes alike into every registry: how parameters are read, which endpoints an application
// tells of, and which providers are one process. Its invariant: nothing in it knows in which registry it was found.
package dubbo
