package dvr

func helper() bool { return false }
