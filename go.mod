module github.com/pgsluice/pgsluice

go 1.26
