// Package dvr keeps streams.
package dvr
