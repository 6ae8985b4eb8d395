package shop;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;

public class InvoiceServlet extends HttpServlet {
    private static final String COLUMNS = "id, total";
    private Connection connection;

    ResultSet byCustomer(String customer) throws SQLException {
        Statement statement = connection.createStatement();
        return statement.executeQuery("SELECT * FROM invoices WHERE customer = '" + customer + "'");
    }

    ResultSet byCustomerSafe(String customer) throws SQLException {
        PreparedStatement statement = connection.prepareStatement("SELECT " + COLUMNS + " FROM invoices WHERE customer = ?");
        statement.setString(1, customer);
        return statement.executeQuery();
    }

    void print(String printer) throws IOException {
        Runtime.getRuntime().exec("lpr -P " + printer + " invoice.pdf");
    }

    void printSafe(String printer) throws IOException {
        new ProcessBuilder("lpr", "-P", printer, "invoice.pdf").start();
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String name = request.getParameter("name");
        response.getWriter().println("<p>Invoice for " + name + "</p>");
        File file = new File("/srv/invoices", name);
        if (!file.exists()) {
            response.sendRedirect("/not-found");
        }
    }

    Object restore(InputStream in) throws Exception {
        ObjectInputStream objects = new ObjectInputStream(in);
        return objects.readObject();
    }

    Document parse(InputStream in) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(in);
    }

    Document parseSafe(InputStream in) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return factory.newDocumentBuilder().parse(in);
    }
}
