module example.org/app

go 1.21

require (
	golang.org/x/net v0.38.0
	golang.org/x/text v0.3.5 // indirect
)
