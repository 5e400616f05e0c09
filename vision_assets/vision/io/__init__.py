"""Images in: headers, decoding, conversion to grey values, labels."""
