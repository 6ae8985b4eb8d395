// Command gateway routes requests to the services of the shop.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"fmt"
	"html"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

const columns = "id, name"

var db *sql.DB

func orders(w http.ResponseWriter, r *http.Request) {
	query := fmt.Sprintf("SELECT * FROM orders WHERE customer = '%s'", r.URL.Query().Get("customer"))
	rows, err := db.Query(query)
	if err != nil {
		return
	}
	defer rows.Close()
}

func ordersSafe(w http.ResponseWriter, r *http.Request) {
	rows, err := db.Query("SELECT "+columns+" FROM orders WHERE customer = $1", r.URL.Query().Get("customer"))
	if err != nil {
		return
	}
	defer rows.Close()
}

func trace(w http.ResponseWriter, r *http.Request) {
	host := r.FormValue("host")
	out, _ := exec.Command("sh", "-c", "traceroute "+host).Output()
	w.Write(out)
}

func traceSafe(w http.ResponseWriter, r *http.Request) {
	out, _ := exec.Command("traceroute", "--", r.FormValue("host")).Output()
	w.Write(out)
}

func document(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join("/srv/documents", r.URL.Query().Get("name"))
	data, err := os.ReadFile(path)
	if err == nil {
		w.Write(data)
	}
}

func documentSafe(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join("/srv/documents", filepath.Base(r.URL.Query().Get("name")))
	data, err := os.ReadFile(path)
	if err == nil {
		w.Write(data)
	}
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "<h1>Hello %s</h1>", r.FormValue("name"))
}

func helloSafe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "<h1>Hello %s</h1>", html.EscapeString(r.FormValue("name")))
}

func upstream() *http.Client {
	config := &tls.Config{InsecureSkipVerify: true}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}

func checksum(data []byte) [32]byte {
	return sha256.Sum256(data)
}

func main() {
	http.HandleFunc("/orders", orders)
	http.ListenAndServe("0.0.0.0:8081", nil)
}
