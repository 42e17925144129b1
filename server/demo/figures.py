"""Figures that the generated hour follows: what was measured, on which reports, and what is simulated.

Only these aggregates are kept. The reports:
- Amazon: an order report of one clothing seller of India, 31 March to 31 May 2022 (in public repositories as "Amazon
  Sale Report.csv"); of it the lines with a quantity and a postal code: 81,994 lines of 76,582 orders, 6,634 SKUs.
- Olist: orders of a Brazilian marketplace (first 20,000 of the public table): 17,394 orders, 19,719 lines.
"""

# Amazon: percent of orders by the first two digits of the postal code of their first line.
REGIONS = {
    "11": 5.61, "12": 2.97, "13": 0.54, "14": 1.28, "15": 0.12, "16": 0.42, "17": 0.59, "18": 0.32, "19": 0.24,
    "20": 4.02, "21": 0.38, "22": 1.92, "23": 0.15, "24": 1.50, "25": 0.29, "26": 0.50, "27": 0.52, "28": 0.48,
    "30": 1.13, "31": 0.26, "32": 0.25, "33": 0.24, "34": 0.21, "36": 0.43, "37": 0.09, "38": 1.68, "39": 1.44,
    "40": 9.64, "41": 5.87, "42": 1.67, "43": 0.29, "44": 1.07, "45": 0.66, "46": 0.50, "47": 0.31, "48": 0.48,
    "49": 0.74, "50": 8.41, "51": 0.89, "52": 1.43, "53": 1.53, "56": 10.51, "57": 1.82, "58": 0.81, "59": 0.20,
    "60": 5.62, "61": 0.18, "62": 1.12, "63": 0.94, "64": 0.92, "67": 1.43, "68": 2.36, "69": 1.11, "70": 3.03,
    "71": 0.79, "72": 0.24, "73": 0.65, "74": 0.48, "75": 1.08, "76": 0.50, "77": 0.04, "78": 1.32, "79": 0.86,
    "80": 0.79, "81": 0.21, "82": 0.47, "83": 0.75, "84": 0.46, "85": 0.20,
}  # fmt: skip
# Amazon: the busiest so many of the 8,136 postal codes have so many of the orders. Which they are is drawn.
CODES_CURVE = {0.01: 0.197, 0.05: 0.461, 0.10: 0.616, 0.20: 0.767, 0.50: 0.929}
# Amazon: the best-selling so many of the SKUs have so many of the units.
SKUS_CURVE = {0.001: 0.027, 0.01: 0.162, 0.02: 0.240, 0.05: 0.383, 0.10: 0.524, 0.20: 0.690, 0.50: 0.904}
# Amazon: percent of orders by their number of lines; those of more than five count as five.
LINES = {1: 94.36, 2: 4.68, 3: 0.68, 4: 0.18, 5: 0.09}
# Olist: percent of lines by their units (rows of one order and product); one of clothing alone has 99.66 of one unit.
UNITS = {1: 92.78, 2: 5.47, 3: 1.02, 4: 0.38, 5: 0.16, 6: 0.19}

# Towns where the press has reported fulfilment centres of Amazon and Flipkart in India (Business Today, The Hindu,
# BusinessLine, ANI, Devdiscourse, MediaNama, Financial Express and others, 2015 to 2021), by the town's postal code.
PLACES = {
    "FARRUKHNAGAR": "122506", "BALLABGARH": "121004", "BHIWANDI": "421308", "NAGPUR": "440001", "DANKUNI": "712311",
    "LUCKNOW": "226001", "KOTHUR": "509228", "SHAMSHABAD": "501218", "ULUBERIA": "711315", "BAVLA": "382220",
    "COIMBATORE": "641018", "CHENNAI": "600001", "MUMBAI": "400001", "PUNE": "411001", "DELHI": "110001",
    "JAIPUR": "302001", "BENGALURU": "560001", "KOLKATA": "700001", "LUDHIANA": "141001", "PATNA": "800001",
    "GUWAHATI": "781001", "AHMEDABAD": "380001",
}  # fmt: skip

# Simulated: no report tells them.
CHANNELS = {"own": 25.0, "amazon.in": 40.0, "flipkart": 25.0, "social": 10.0}  # percent of orders
ON_SHORT = {"own": "refuse", "amazon.in": "keep", "flipkart": "keep", "social": "back_order"}
POLICIES = {"own": {}, "amazon.in": {"buffer": 1}, "flipkart": {"share_ppm": 800_000}, "social": {"buffer": 2}}
STOCK_OVER_DEMAND = 1.10  # units of a SKU at the beginning, over what will be asked for
STOCK_ERROR = 0.10  # standard deviation of that, from SKU to SKU: some run out
STOCK_SPREAD = 12.0  # how alike the places share SKUs: high is all alike, 1 is one place for nearly all of a SKU
HOUR_BEGINS_US = 1_760_970_600_000_000  # 20 October 2025, Diwali, 20:00 in India
