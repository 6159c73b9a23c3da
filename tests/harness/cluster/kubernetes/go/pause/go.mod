// The process that holds a real pod's network.
module cluster-tests/pause

go 1.21
