package dvr

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The names of folders and files are the archive's summary: a folder for each
// track, year, month and day, and in it a blob for each hour, whose name begins
// with the hour and has its first segment's number.
//
//	{track}/{year}/{month}/{day}/{hour}-{number}[-{n}].blob

const (
	blobExt  = ".blob"
	indexExt = ".idx"
	// disordered marks a track whose numbers went back, so that they cannot be
	// searched in halves.
	disordered = "disordered"
)

// blobName is what a blob's place says of it.
type blobName struct {
	day   string // its folder
	hour  time.Time
	first uint64
	again int // counts blobs of the same hour and number
}

func (n blobName) path() string {
	name := fmt.Sprintf("%02d-%020d", n.hour.Hour(), n.first)
	if n.again > 0 {
		name += "-" + strconv.Itoa(n.again)
	}
	return filepath.Join(n.day, name+blobExt)
}

func (n blobName) end() time.Time { return n.hour.Add(time.Hour) }

// parseBlobName reads a file's name in exactly the form that path writes.
func parseBlobName(day string, date time.Time, file string) (n blobName, ok bool) {
	name, ok := strings.CutSuffix(file, blobExt)
	if !ok || len(name) < 23 || name[2] != '-' {
		return n, false
	}
	hour, err1 := strconv.ParseUint(name[:2], 10, 8)
	first, err2 := strconv.ParseUint(name[3:23], 10, 64)
	n = blobName{day: day, hour: date.Add(time.Duration(hour) * time.Hour), first: first}
	var err3 error
	if len(name) > 23 {
		var again uint64
		again, err3 = strconv.ParseUint(strings.TrimPrefix(name[23:], "-"), 10, 31)
		n.again = int(again)
	}
	ok = err1 == nil && err2 == nil && err3 == nil && hour < 24 && filepath.Base(n.path()) == file
	return n, ok
}

func compareBlobs(a, b blobName) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.again, b.again))
}

// dayFolder is a day of a track.
type dayFolder struct {
	path string
	date time.Time // at which it begins
}

func folderOf(track string, hour time.Time) string {
	return filepath.Join(track, hour.Format("2006"), hour.Format("01"), hour.Format("02"))
}

// blobs returns the blobs of a day by number.
func (d dayFolder) blobs() ([]blobName, error) {
	names, err := readNames(d.path)
	if err != nil {
		return nil, err
	}
	var out []blobName
	for _, name := range names {
		if n, ok := parseBlobName(d.path, d.date, name); ok {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, compareBlobs)
	return out, nil
}

// readNames returns the names in a folder, sorted; none of one that is not there.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

// level is a folder between a track and its days.
type level struct {
	path string
	date time.Time
	deep int // 0 is the track, then year, month, day
}

var digits = [...]int{4, 2, 2}

// children returns the folders of the next level in order of time.
func (l level) children() ([]level, error) {
	names, err := readNames(l.path)
	if err != nil {
		return nil, err
	}
	var out []level
	for _, name := range names {
		v, err := strconv.Atoi(name)
		if err != nil || len(name) != digits[l.deep] || v < 1 {
			continue
		}
		c := level{path: filepath.Join(l.path, name), deep: l.deep + 1}
		switch l.deep {
		case 0:
			c.date = time.Date(v, 1, 1, 0, 0, 0, 0, time.UTC)
		case 1:
			c.date = time.Date(l.date.Year(), time.Month(v), 1, 0, 0, 0, 0, time.UTC)
		case 2:
			c.date = time.Date(l.date.Year(), l.date.Month(), v, 0, 0, 0, 0, time.UTC)
		}
		if c.path == folderOf(trackFolder(c.path, c.deep), c.date)[:len(c.path)] { // no 31 of February
			out = append(out, c)
		}
	}
	return out, nil
}

// trackFolder returns the folder so many levels up.
func trackFolder(path string, deep int) string {
	for range deep {
		path = filepath.Dir(path)
	}
	return path
}

// next returns the time at which the level's span ends.
func (l level) next() time.Time {
	switch l.deep {
	case 1:
		return l.date.AddDate(1, 0, 0)
	case 2:
		return l.date.AddDate(0, 1, 0)
	}
	return l.date.AddDate(0, 0, 1)
}

// walkDays calls f with the days of a track that overlap [from, to), in order,
// until it returns false. It reads no more folders than it needs.
func walkDays(track string, from, to time.Time, f func(dayFolder) bool) error {
	_, err := level{path: track}.walk(from, to, f)
	return err
}

func (l level) walk(from, to time.Time, f func(dayFolder) bool) (bool, error) {
	if l.deep == 3 {
		return f(dayFolder{l.path, l.date}), nil
	}
	children, err := l.children()
	if err != nil {
		return false, err
	}
	for _, c := range children {
		if !c.date.Before(to) || !c.next().After(from) {
			continue
		}
		if more, err := c.walk(from, to, f); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// first returns the smallest number of the first blobs in a level; false where
// there are none.
func (l level) first() (uint64, bool, error) {
	if l.deep == 3 {
		blobs, err := dayFolder{l.path, l.date}.blobs()
		if err != nil || len(blobs) == 0 {
			return 0, false, err
		}
		return blobs[0].first, true, nil
	}
	children, err := l.children()
	if err != nil {
		return 0, false, err
	}
	for _, c := range children {
		if n, ok, err := c.first(); ok || err != nil {
			return n, ok, err
		}
	}
	return 0, false, nil
}

// locate returns the last day whose first number is not above number: the one
// that has it, if its track's numbers never went back.
func (l level) locate(number uint64) (d dayFolder, ok bool, err error) {
	if l.deep == 3 {
		return dayFolder{l.path, l.date}, true, nil
	}
	children, err := l.children()
	if err != nil {
		return d, false, err
	}
	above := sort.Search(len(children), func(i int) bool {
		for ; i < len(children); i++ { // pass over empty ones
			n, ok, ferr := children[i].first()
			if ferr != nil {
				err = ferr
			}
			if ok {
				return n > number
			}
		}
		return true
	})
	for i := above - 1; i >= 0 && err == nil; i-- {
		if n, ok, ferr := children[i].first(); ferr != nil || ok && n <= number {
			err = ferr
			if err == nil {
				return children[i].locate(number)
			}
		}
	}
	return d, false, err
}

// newest returns the last day of a track that has blobs.
func (l level) newest() ([]blobName, error) {
	if l.deep == 3 {
		return dayFolder{l.path, l.date}.blobs()
	}
	children, err := l.children()
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Backward(children) {
		if blobs, err := c.newest(); len(blobs) > 0 || err != nil {
			return blobs, err
		}
	}
	return nil, nil
}

// oldest returns the first day of a track that has blobs.
func (l level) oldest() (blobs []blobName, err error) {
	var failed error
	err = walkDays(l.path, time.Time{}, farFuture, func(d dayFolder) bool {
		blobs, failed = d.blobs()
		return len(blobs) == 0 && failed == nil
	})
	return blobs, errors.Join(err, failed)
}

// farFuture is after every time there is a folder for.
var farFuture = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
