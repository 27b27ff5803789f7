package srt

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStreamIDs(t *testing.T) {
	for s, want := range map[string]streamID{
		"publish:KEY":                   {name: "KEY"},
		"KEY":                           {name: "KEY"},
		"other:KEY":                     {name: "other:KEY"},
		"request:demo":                  {name: "demo", play: true},
		"read:demo":                     {name: "demo", play: true},
		"play:demo?token=T":             {name: "demo", play: true, query: url.Values{"token": {"T"}}},
		"#!::m=publish,r=KEY":           {name: "KEY"},
		"#!::r=KEY,m=publish,u=me,s=42": {name: "KEY", query: url.Values{"u": {"me"}, "s": {"42"}}},
		"#!::m=request,r=demo":          {name: "demo", play: true},
		"#!::r=demo":                    {name: "demo", play: true},
		"#!::r=demo,t=stream,token=T":   {name: "demo", play: true, query: url.Values{"token": {"T"}}},
		"#!::r=demo?token=T&x=1":        {name: "demo", play: true, query: url.Values{"token": {"T"}, "x": {"1"}}},
		"publish%3AKEY":                 {name: "KEY"},
		"%23!::r=KEY%2Cm=publish":       {name: "KEY"},
		"#!::,r=a=b,m=publish,":         {name: "a=b"},
	} {
		if want.query == nil {
			want.query = url.Values{}
		}
		got, err := parseStreamID(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
	for s, code := range map[string]Code{
		"": CodeBadRequest, "publish:": CodeBadRequest, "#!::m=publish": CodeBadRequest, "#!::": CodeBadRequest,
		"#!::r=a,m=bidirectional": CodeBadMode, "#!::r=a,t=file": CodeUnsupported,
		"a?%zz": CodeBadRequest, strings.Repeat("x", 513): CodeBadRequest,
	} {
		_, err := parseStreamID(s)
		require.Error(t, err, s)
		assert.Equal(t, code, codeOf(err), s)
	}
}

func FuzzStreamID(f *testing.F) {
	for _, s := range []string{"publish:KEY", "#!::m=publish,r=KEY,u=me", "#!::r=demo?token=T", "read:x?a=b;c", "#!::=,=,r==", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseStreamID(s)
		if err != nil {
			if len(err.Error()) > 320 {
				t.Errorf("long error: %v", err)
			}
			return
		}
		if id.name == "" || len(id.name) > maxStreamID || id.query == nil {
			t.Errorf("%q: %+v", s, id)
		}
	})
}
