from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, its addresses and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.addresses, self.pictures, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data):
        self.text += data + " "
